"""A step's process ends itself with the run that started it, and reports its error to that run."""

from __future__ import annotations

import json
import os
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

from pipeline.run.manifest import write_json
from pipeline.run.output_layout import ERROR
from pipeline.run.parameters import RunError, RunParameters
from serving.sam.errors import SamError
from serving.sam.machine.allocator import keep_freed_memory
from serving.sam.machine.waiting_threads import set_waiting
from serving.storage import FullDiskError, StorageError, local_error, open_folder

# A local run sets these: the process that a step works for; a file of the run's own for the step's
# error, since a full disk of the output cannot take it; the run's name in its claim on a bucket.
OWNER_VARIABLE = "SAM_RUN_OWNER"
ERROR_VARIABLE = "SAM_RUN_ERROR"
CLAIM_VARIABLE = "SAM_RUN_CLAIM"
_ORPHAN_SECONDS = 0.25
_ROOT = Path(__file__).parents[2]


class ShardError(Exception):
    """A shard's process keeps dying; the message says how and where."""

    callers_fault: ClassVar[bool] = False
    hint: ClassVar[str] = ""  # whoever reads the error names the log, whose place it knows


EXPECTED_ERRORS = (SamError, RunError, StorageError, ShardError)
P = ParamSpec("P")
R = TypeVar("R")


def run_step(
    step: Callable[Concatenate[RunParameters, P], R],
    parameters: str,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Run a step and return its result.

    A local run that is killed must not leave a step behind that goes on writing beside the next
    run, so the step ends itself when its owner is gone. Kubeflow carries no error from one process
    to another, so the step writes its error into the run's output, where the command line reads it.
    An error that nobody expects is ours, not the caller's; its traceback goes with it.
    """
    keep_freed_memory()
    end_with_owner(os.environ.get(OWNER_VARIABLE, ""))
    run = RunParameters.from_json(parameters)
    try:
        return step(run, *args, **kwargs)
    except Exception as error:
        record_error(run, error)
        raise


def record_error(run: RunParameters, error: Exception) -> None:
    """Write an error where the command that waits for the run reads it."""
    # A second run over the same output writes its refusal there too.
    detail = {"run": run.run_id, **_description(error)}
    path = os.environ.get(ERROR_VARIABLE, "")
    try:
        if path:
            Path(path).write_text(json.dumps(detail), "utf-8")
        else:
            write_json(open_folder(run.output), ERROR, detail)
    except (OSError, StorageError) as recording_error:
        print(f"could not record the error: {recording_error}")


def _description(error: Exception) -> dict[str, str | bool]:
    if isinstance(error, OSError):  # of a working file of this machine; storage has its own errors
        explained = local_error(error.filename or "working files", error)
        error = explained if isinstance(explained, FullDiskError) else error
    if isinstance(error, EXPECTED_ERRORS):
        return {
            "message": str(error),
            "hint": error.hint,
            "callers_fault": error.callers_fault,
            "traceback": "",
        }
    return {
        "message": f"unexpected {type(error).__name__}: {error}".removesuffix(": "),
        "hint": "",
        "callers_fault": False,
        "traceback": "".join(traceback.format_exception(error)),
    }


def claim_of_local_run() -> str:
    """The name in its claim of the local run that this step belongs to; empty without one."""
    return os.environ.get(CLAIM_VARIABLE, "")


def environment_of_a_step() -> dict[str, str]:
    """Return the variables for a process that a step starts.

    The process ends with this one, and imports this code whatever its working directory is.
    """
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, OWNER_VARIABLE: str(os.getpid()), "PYTHONPATH": path}
    set_waiting(environment)
    return environment


def end_with_owner(owner: str) -> None:
    """End this process as soon as the process ``owner`` is gone; without one, never."""
    if not owner:
        return

    def watch() -> None:
        while _alive(int(owner)):
            time.sleep(_ORPHAN_SECONDS)
        os._exit(1)  # at any moment: files appear in the output whole or not at all

    threading.Thread(target=watch, name="owner-watch", daemon=True).start()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
