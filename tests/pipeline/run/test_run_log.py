"""A run's log grows line by line, and no fault of its own ends a run."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.run import run_log
from pipeline.run.output_layout import LOG
from pipeline.run.run_log import RunLog
from scripts.rehearsal.processes import free_port
from serving.storage import open_folder
from serving.storage.client import storage_client

COLOURED, PLAIN = "Task \x1b[96m'plan-shards'\x1b[0m é\n", "Task 'plan-shards' é\n"


def test_log_is_there_line_by_line_without_colours(tmp_path: Path) -> None:
    output, echo = open_folder(str(tmp_path / "out")), io.StringIO()
    log = RunLog(output, tmp_path, echo)
    print(COLOURED, end="", file=log)
    assert output.read_bytes(LOG).decode() == echo.getvalue() == PLAIN
    log.close()
    log.close()
    assert log.uri == str(tmp_path / "out" / LOG)


def test_log_for_a_bucket_is_there_before_its_end_and_complete_after(
    bucket: Callable[[str], str], tmp_path: Path
) -> None:
    output = open_folder(bucket("runs/1"))
    log = RunLog(output, tmp_path)
    log.write(COLOURED)
    deadline = time.monotonic() + 30
    while not output.exists(LOG):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    log.write("the end\n")
    log.close()
    assert output.read_bytes(LOG).decode() == f"{PLAIN}the end\n"
    assert log.uri == bucket(f"runs/1/{LOG}")


@pytest.mark.parametrize("obstacle", ["file", "full disk"])
def test_log_that_cannot_be_written_does_not_end_the_run(obstacle: str, tmp_path: Path) -> None:
    if obstacle == "file":
        (tmp_path / ".run").write_text("")
    else:
        (tmp_path / ".run").mkdir()
        (tmp_path / LOG).symlink_to("/dev/full")
    echo = io.StringIO()
    log = RunLog(open_folder(str(tmp_path)), tmp_path, echo)
    log.write(COLOURED)
    log.close()
    assert echo.getvalue() == PLAIN
    assert log.uri == ("" if obstacle == "file" else str(tmp_path / LOG))


def test_log_does_not_wait_for_storage_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr(run_log, "_LAST_UPLOAD_SECONDS", 0.2)
    storage_client.cache_clear()
    log = RunLog(open_folder("gs://gone/runs/1"), tmp_path)
    log.write(COLOURED)
    begun = time.monotonic()
    log.close()
    assert time.monotonic() - begun < 5 and log.uri == ""
    storage_client.cache_clear()
