"""Run the graph on this machine: Kubeflow's local runner, one process for each step."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from pipeline.graph_process import FAILURE, RESERVE, SUMMARY
from pipeline.run.claim import PROCESS_SECONDS, claimed, name_of_process
from pipeline.run.guarded_output import guarded, refuse_awaited_batch
from pipeline.run.parameters import RunParameters
from pipeline.run.run_log import RunLog
from pipeline.run.step_process import CLAIM_VARIABLE, ERROR_VARIABLE, environment_of_a_step
from serving.storage import WORK, open_folder

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FAILED_STEP = re.compile(r"task failed: '([\w-]+)'")  # in Kubeflow's error
_ERROR = "error.json"  # a step's own error, in the run's folder
_GROUP_SECONDS = 0.5  # a zombie that nobody collects stays in its group


class StepError(Exception):
    """A step of the run failed.

    Attributes:
        callers_fault: whether the step's own error is its caller's mistake.
        hint: the way out that the step's own error names, else where its log is.
    """

    def __init__(self, message: str, *, hint: str, callers_fault: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.callers_fault = callers_fault


def run_locally(
    parameters: RunParameters, echo: IO[str] | None = None, begun: Callable[[], object] = int
) -> dict[str, Any]:
    """Run the pipeline here, wait for its end, and return the summary of ``write-report``.

    The output keeps the log: everything that Kubeflow and the steps print. An interruption ends
    all processes of the run and removes their files.

    Args:
        parameters: the run.
        echo: receives the log too; ``None`` for nobody.
        begun: called when the output is this run's, so that its progress is this run's too.

    Raises:
        RunError: another run is using the same output, or has taken it over.
        StepError: a step failed; with the step's own message where the step reported one.
    """
    run = name_of_process()
    with (
        claimed(open_folder(parameters.output), run),
        tempfile.TemporaryDirectory(prefix="sam-kfp-", ignore_cleanup_errors=True) as scratch,
    ):
        output = guarded(parameters.output, run, PROCESS_SECONDS)
        refuse_awaited_batch(output)
        output.delete_folder(WORK)  # what a killed run left half-done
        begun()
        root = Path(scratch)
        (root / RESERVE).write_bytes(bytes(1 << 16))
        with contextlib.closing(RunLog(output, root, echo)) as log:
            _run_graph(parameters, run, root, log)
        summary_file = root / SUMMARY
        if not summary_file.exists():
            raise _step_error(root, log.uri)
        summary: dict[str, Any] = json.loads(summary_file.read_text("utf-8"))
        return summary


def _run_graph(parameters: RunParameters, run: str, root: Path, log: RunLog) -> None:
    """Run the graph's process to its end; whatever interrupts that ends all that it started."""
    environment = environment_of_a_step() | {
        ERROR_VARIABLE: str(root / _ERROR),
        CLAIM_VARIABLE: run,
        "TMPDIR": str(root),  # Kubeflow's runner never removes the folders of its steps
    }
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "pipeline.graph_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
        start_new_session=True,  # a group of its own, which no signal of the terminal reaches
    ) as process:
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101
            with contextlib.suppress(BrokenPipeError), process.stdin as order:
                json.dump({"parameters": parameters.to_json(), "scratch": str(root)}, order)
            for line in process.stdout:
                log.write(line)
        except BaseException:
            _end_group(process)
            raise


def _end_group(leader: subprocess.Popen[str]) -> None:
    """Kill a group of processes and wait, not for long, until the kernel has ended them all."""
    deadline = time.monotonic() + _GROUP_SECONDS
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()
        while time.monotonic() < deadline:
            time.sleep(0.02)
            os.killpg(leader.pid, 0)


def _step_error(root: Path, log_uri: str) -> StepError:
    log_hint = f"its log is {log_uri}" if log_uri else "run again with --debug for the log"
    log_hint += "; finished images are kept"
    with contextlib.suppress(OSError, ValueError, KeyError):
        detail = json.loads((root / _ERROR).read_text("utf-8"))
        return StepError(
            detail["message"],
            hint=detail["hint"] or log_hint,
            callers_fault=detail["callers_fault"],
        )
    failure = ""
    with contextlib.suppress(OSError):
        failure = (root / FAILURE).read_text("utf-8")
    step = _FAILED_STEP.search(_COLOUR.sub("", failure))
    name = f"the step {step[1]}" if step else "a step"
    return StepError(
        f"{name} ended without naming an error; was its process killed, for want of memory?",
        hint=log_hint,
    )
