"""What surrounds a step in its own process: its orphan's watch and the way its errors get home."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from pipeline.manifest import ERROR, write_json
from pipeline.parameters import ParameterError, RunError, RunParameters
from pipeline.storage import StorageError, open_folder
from serving.sam.allocator import keep_freed_memory
from serving.sam.errors import SamError

OWNER_VARIABLE = "SAM_RUN_OWNER"  # set by a local run: the process that this step works for
_ORPHAN_SECONDS = 0.25

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
    except (SamError, RunError, ParameterError, StorageError) as error:
        try:
            detail = {"kind": type(error).__name__, "message": str(error)}
            write_json(open_folder(run.output), ERROR, detail)
        except StorageError as second:
            print(f"could not record the error: {second}")
        raise


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
