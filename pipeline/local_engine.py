"""Run the graph on this machine: Kubeflow's local runner, one process for each step."""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import warnings
from pathlib import Path
from typing import IO, Any, cast

from pipeline.definition import define_pipeline
from pipeline.run.claim import PROCESS_SECONDS, claimed, name_of_process
from pipeline.run.guarded_output import guarded
from pipeline.run.parameters import RunParameters
from pipeline.run.run_log import RunLog
from pipeline.run.step_process import CLAIM_VARIABLE, ERROR_VARIABLE, OWNER_VARIABLE
from serving.storage import WORK, open_folder

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FAILED_STEP = re.compile(r"task failed: '([\w-]+)'")  # in Kubeflow's error


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


def run_locally(parameters: RunParameters, echo: IO[str] | None = None) -> dict[str, Any]:
    """Run the pipeline here, wait for its end, and return the summary of ``write-report``.

    The output keeps the log: everything that Kubeflow and the steps print.

    Args:
        parameters: the run.
        echo: receives the log too; ``None`` for nobody.

    Raises:
        RunError: another run is using the same output, or has taken it over.
        StepError: a step failed; with the step's own message where the step reported one.
    """
    from kfp import local

    run = name_of_process()
    with (
        claimed(open_folder(parameters.output), run),
        tempfile.TemporaryDirectory(prefix="sam-kfp-") as scratch,
    ):
        output = guarded(parameters.output, run, PROCESS_SECONDS)
        output.delete_folder(WORK)  # what a killed run left half-done
        root = Path(scratch)
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(root / "outputs"),
            workspace_root=str(root / "workspace"),
        )
        error_file = root / "error.json"
        variables = {
            OWNER_VARIABLE: str(os.getpid()),
            ERROR_VARIABLE: str(error_file),
            CLAIM_VARIABLE: run,
            "TMPDIR": scratch,  # Kubeflow's runner never removes the folders of its steps
        }
        earlier = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        log = RunLog(output, root, echo)
        try:
            # Kubeflow's runner prints its log and the steps' output to standard output.
            with contextlib.redirect_stdout(cast(IO[str], log)), warnings.catch_warnings():
                # Display names are for the console of a real Kubeflow.
                warnings.filterwarnings("ignore", message=".*no effect in the current local")
                task = define_pipeline()(parameters=parameters.to_json())
        except RuntimeError as error:
            log.close()
            raise _step_error(error_file, error, log.uri) from error
        finally:
            log.close()
            for name, value in earlier.items():
                _restore(name, value)
        summary: dict[str, Any] = json.loads(task.output)
        return summary


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _step_error(error_file: Path, error: RuntimeError, log_uri: str) -> StepError:
    log_hint = f"its log is {log_uri}" if log_uri else "run again with --debug for the log"
    log_hint += "; finished images are kept"
    with contextlib.suppress(OSError, ValueError, KeyError):
        detail = json.loads(error_file.read_text("utf-8"))
        return StepError(
            detail["message"],
            hint=detail["hint"] or log_hint,
            callers_fault=detail["callers_fault"],
        )
    step = _FAILED_STEP.search(_COLOUR.sub("", str(error)))
    name = f"the step {step[1]}" if step else "a step"
    return StepError(
        f"{name} ended without naming an error; was its process killed, for want of memory?",
        hint=log_hint,
    )
