"""A step leaves its error, expected or not, where the command that runs it reads it."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from pipeline.run import step_process
from pipeline.run.manifest import read_json
from pipeline.run.output_layout import ERROR
from pipeline.run.parameters import RunError, RunParameters
from serving.sam.errors import PromptError
from serving.storage import open_folder


def fail_with(error: Exception, output: str) -> None:
    """Run a step that raises an error."""

    def step(_run: RunParameters) -> None:
        raise error

    run = RunParameters(inputs=("photos",), output=output, run_id="sam-1")
    with pytest.raises(type(error)):
        step_process.run_step(step, run.to_json())


@pytest.mark.parametrize(
    ("error", "message", "callers_fault"),
    [
        (PromptError("prompts['a']: wrong"), "prompts['a']: wrong", True),
        (RunError("no images"), "no images", True),
        (step_process.ShardError("it keeps dying"), "it keeps dying", False),
        (MemoryError(), "unexpected MemoryError", False),
        (ZeroDivisionError("by nought"), "unexpected ZeroDivisionError: by nought", False),
    ],
)
@pytest.mark.parametrize("where", ["file of the run", "local output", "bucket"])
def test_step_records_every_exception(
    where: str, error: Exception, message: str, callers_fault: bool,
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    output = str(tmp_path / "out")
    if where == "bucket":
        output = request.getfixturevalue("bucket")("runs/1")
    elif where == "file of the run":
        monkeypatch.setenv(step_process.ERROR_VARIABLE, str(tmp_path / "error.json"))
    fail_with(error, output)
    if where == "file of the run":
        detail = json.loads((tmp_path / "error.json").read_text())
    else:
        detail = read_json(open_folder(output), ERROR)
    assert detail["run"] == "sam-1"
    assert (detail["message"], detail["callers_fault"]) == (message, callers_fault)
    unexpected = message.startswith("unexpected")
    assert detail["traceback"].startswith("Traceback") == unexpected
    assert bool(detail["hint"]) == (not unexpected and callers_fault)


def test_full_disk_of_working_files_has_its_own_words(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    fail_with(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/sam-shard/note"), output)
    detail = read_json(open_folder(output), ERROR)
    assert detail["message"] == "/tmp/sam-shard/note: No space left on device"
    assert "make room" in detail["hint"] and not detail["callers_fault"]


@pytest.mark.parametrize("end", [SystemExit(75), KeyboardInterrupt()])
def test_step_that_is_ended_records_nothing(end: BaseException, tmp_path: Path) -> None:
    """The process has said what it had to say, or its caller has interrupted it."""

    def step(_run: RunParameters) -> None:
        raise end

    run = RunParameters(inputs=("photos",), output=str(tmp_path / "out"))
    with pytest.raises(type(end)):
        step_process.run_step(step, run.to_json())
    assert not open_folder(run.output).exists(ERROR)
