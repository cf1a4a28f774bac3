"""What a run's steps printed stays in its output, and a failed run names it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from scripts.checkout import ROOT
from serving.storage import open_folder
from tests.journeys.test_run import COMMAND, sam_vertex

LOG = ".run/log.txt"
# In one process of a run only: whoever opens such a file, or gives a file such a name, meets what
# nobody expects.
FAULT = """
import os, sys
def audit(event, arguments):
    if event in ("open", "os.rename") and {process!r} in " ".join(sys.orig_argv):
        if str(arguments[event == "os.rename"]).endswith({file!r}):
            {action}
sys.addaudithook(audit)
"""


def run_with_fault(
    tmp_path: Path, images: Path, output: str, **fault: str
) -> subprocess.CompletedProcess[str]:
    """The real command, one of whose processes meets a fault."""
    hook = tmp_path / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(FAULT.format(**fault))
    environment = {**os.environ, "PYTHONPATH": f"{hook}:{ROOT}"}
    return sam_vertex(images / "a.png", "--output", output, env=environment)


@pytest.mark.parametrize(
    ("where", "process", "file", "printed"),
    [
        ("folder", "pipeline.shard.worker", ".rows.jsonl", " masks in "),
        ("bucket", "plan_shards", "a.png", "Executing task"),
    ],
)
def test_unexpected_error_of_a_step_is_named_and_its_log_is_kept(
    where: str, process: str, file: str, printed: str,
    image_folder: Path, tmp_path: Path, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    output = str(tmp_path / "out")
    if where == "bucket":
        output = request.getfixturevalue("bucket")("runs/1")
    action = "raise MemoryError('no room')"
    done = run_with_fault(tmp_path, image_folder, output, process=process, file=file, action=action)
    assert done.returncode == 1
    folder = open_folder(output)
    assert done.stderr.splitlines()[-2:] == [
        "error: unexpected MemoryError: no room",
        f"hint: its log is {folder.uri_of(LOG)}; finished images are kept",
    ]
    assert "\x1b" not in done.stderr and "Traceback" not in done.stderr
    log = folder.read_bytes(LOG).decode()
    assert "Traceback" in log and "MemoryError: no room" in log
    assert printed in log and "\x1b" not in log


@pytest.mark.parametrize(
    ("step", "file"), [("plan-shards", "planned.json"), ("segment-shard", "/result")]
)
def test_step_that_dies_without_a_word_is_named_without_kubeflows_text(
    step: str, file: str, image_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = run_with_fault(
        tmp_path, image_folder, str(output), process=step.replace("-", "_"), file=file,
        action="os.kill(os.getpid(), 9)",
    )  # fmt: skip
    assert done.returncode == 1
    error, hint = done.stderr.splitlines()[-2:]
    assert error == (
        f"error: the step {step} ended without naming an error; was its process killed, "
        "for want of memory?"
    )
    assert hint == f"hint: its log is {output / LOG}; finished images are kept"
    assert (output / LOG).exists()


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_log_of_a_killed_run_is_kept(
    where: str, image_folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    output = str(tmp_path / "out")
    if where == "bucket":
        output = request.getfixturevalue("bucket")("runs/1")
    command = [*COMMAND, str(image_folder), "--output", output, "--points-per-side", "16"]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = open_folder(output)
    deadline = time.monotonic() + 60
    while not (folder.exists(LOG) and re.search(rb"Executing task", folder.read_bytes(LOG))):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert b"plan-shards" in folder.read_bytes(LOG)
