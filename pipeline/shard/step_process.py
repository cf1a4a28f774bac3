"""What surrounds a step in its own process: its orphan's watch and the way its errors get home."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

from pipeline.run.manifest import ERROR, write_json
from pipeline.run.parameters import RunError, RunParameters
from serving.sam.errors import SamError
from serving.sam.machine.allocator import keep_freed_memory
from serving.storage import StorageError, open_folder

OWNER_VARIABLE = "SAM_RUN_OWNER"  # set by a local run: the process that this step works for
# Set by a local run: a file of its own for a step's error, which a full output cannot take.
ERROR_VARIABLE = "SAM_RUN_ERROR"
_ORPHAN_SECONDS = 0.25
_ROOT = Path(__file__).parents[2]


class ShardError(Exception):
    """A shard's process keeps dying; the message says how and where."""

    callers_fault: ClassVar[bool] = False
    hint: ClassVar[str] = "run again with --debug for the log; finished images are kept"


ExpectedError = SamError | RunError | StorageError | ShardError
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
    run, so the step ends itself when its owner is gone. An expected error is also left in the
    run's output, where the command line finds it: between processes Kubeflow carries none.
    """
    keep_freed_memory()
    _die_with_owner(os.environ.get(OWNER_VARIABLE, ""))
    run = RunParameters.from_json(parameters)
    try:
        return step(run, *args, **kwargs)
    except EXPECTED_ERRORS as error:
        _record(run, error)
        raise


def _record(run: RunParameters, error: ExpectedError) -> None:
    detail = {
        "run": run.run_id,  # a second run over the same output leaves its refusal there too
        "message": str(error),
        "hint": error.hint,
        "callers_fault": error.callers_fault,
    }
    path = os.environ.get(ERROR_VARIABLE, "")
    try:
        if path:
            Path(path).write_text(json.dumps(detail), "utf-8")
        else:
            write_json(open_folder(run.output), ERROR, detail)
    except (OSError, StorageError) as second:
        print(f"could not record the error: {second}")


def environment_of_a_step() -> dict[str, str]:
    """Variables for a process that a step starts: it belongs to this one, and finds this code."""
    path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH", ""))))
    return {**os.environ, OWNER_VARIABLE: str(os.getpid()), "PYTHONPATH": path}


def _die_with_owner(owner: str) -> None:
    if not owner:
        return

    def watch() -> None:
        while _alive(int(owner)):
            time.sleep(_ORPHAN_SECONDS)
        os._exit(1)  # nothing half-written is lost: files appear whole or not at all

    threading.Thread(target=watch, name="owner-watch", daemon=True).start()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
