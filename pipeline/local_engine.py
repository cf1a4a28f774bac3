"""Run the graph on this machine: Kubeflow's local runner, one process for each step."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pipeline.definition import define_pipeline
from pipeline.run.claim import LOCK, held
from pipeline.run.parameters import RunError, RunParameters
from pipeline.run.step_process import ERROR_VARIABLE, OWNER_VARIABLE
from serving.storage import WORK, LocalFolder, StorageError, open_folder

LOG_HINT = "run again with --debug for the log; finished images are kept"


class StepError(Exception):
    """A step of the run failed.

    Attributes:
        callers_fault: as the step's own error says.
        hint: likewise.
    """

    def __init__(self, message: str, *, hint: str = LOG_HINT, callers_fault: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.callers_fault = callers_fault


def run_locally(parameters: RunParameters, log: IO[str]) -> dict[str, Any]:
    """Run the pipeline here, wait for its end, and return the summary of ``write-report``.

    Args:
        parameters: what to do.
        log: receives everything that Kubeflow and the steps print.

    Raises:
        RunError: another run is using the same output.
        StepError: a step failed; its own message where it left one.
    """
    from kfp import local

    with _only_one(parameters.output), tempfile.TemporaryDirectory(prefix="sam-kfp-") as scratch:
        open_folder(parameters.output).delete_folder(WORK)  # what a killed run left half-done
        root = Path(scratch)
        local.init(
            runner=local.SubprocessRunner(use_venv=False),
            pipeline_root=str(root / "outputs"),
            workspace_root=str(root / "workspace"),
        )
        error_file = root / "error.json"
        own = {
            OWNER_VARIABLE: str(os.getpid()),
            ERROR_VARIABLE: str(error_file),
            "TMPDIR": scratch,  # Kubeflow's runner leaves a folder behind for each step
        }
        earlier = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        try:
            # Kubeflow's runner prints its log and the steps' output to standard output.
            with contextlib.redirect_stdout(log), warnings.catch_warnings():
                # Display names are for the console of a real Kubeflow.
                warnings.filterwarnings("ignore", message=".*no effect in the current local")
                task = define_pipeline()(parameters=parameters.to_json())
        except RuntimeError as error:
            raise _step_error(error_file, error) from error
        finally:
            for name, value in earlier.items():
                _restore(name, value)
        summary: dict[str, Any] = json.loads(task.output)
        return summary


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value


def _step_error(error_file: Path, error: RuntimeError) -> StepError:
    with contextlib.suppress(OSError, ValueError, KeyError):
        detail = json.loads(error_file.read_text("utf-8"))
        return StepError(
            detail["message"], hint=detail["hint"], callers_fault=detail["callers_fault"]
        )
    return StepError(str(error))


@contextlib.contextmanager
def _only_one(output: str) -> Iterator[None]:
    """Hold the output for one run; a local folder's lock goes with the process, however it ends."""
    folder = open_folder(output)
    if not isinstance(folder, LocalFolder):
        with held(folder, f"{socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(3)}"):
            yield
        return
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        file = (folder.path / LOCK).open("w")
    except OSError as error:
        raise StorageError(f"{folder.path}: {error.strerror or error}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"{output}: another run is writing here; wait for it or choose another output"
            ) from error
        yield
