"""Only one run at a time writes into an output folder of a bucket.

Buckets have no locks, but they create an object only once when told so (generation 0). Whoever
created ``.run.lock`` holds the output until the time written in it; the holder writes a later time
now and then, and removes the object at its end. A holder that died is succeeded when its time is
over.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

from pipeline.run.parameters import RunError
from serving.storage import Folder, LocalFolder, StorageError

LOCK = ".run.lock"
LOCAL_SECONDS = 120.0  # renewed by a live process
JOB_SECONDS = 3600.0  # steps of a job may wait for their machines


def holder(output: Folder) -> dict[str, Any] | None:
    """Who holds an output: ``run``, ``until`` (seconds since 1970); ``None`` if nobody does."""
    try:
        found = json.loads(output.read_bytes(LOCK))
    except (StorageError, ValueError):
        return None
    return found if isinstance(found, dict) and {"run", "until"} <= found.keys() else None


def _content(run: str, seconds: float) -> bytes:
    return json.dumps({"run": run, "until": round(time.time() + seconds, 1)}).encode()


def acquire(output: Folder, run: str, seconds: float) -> None:
    """Hold an output for a run; one that the same run holds is held on.

    Raises:
        RunError: another run holds it.
        StorageError: the output cannot be written.
    """
    if isinstance(output, LocalFolder):  # has locks that end with their process
        return
    if output.create(LOCK, _content(run, seconds)):
        return
    # The version first: who writes after it was read makes the succession below fail.
    version = output.version(LOCK)
    found = holder(output)
    if found is not None and found["run"] != run and found["until"] > time.time():
        left = found["until"] - time.time()
        raise RunError(
            f"{output.uri}: another run is writing here ({found['run']}); wait for it or choose "
            f"another output. If it is dead, its claim ends in {left:.0f} s"
        )
    if not output.create(LOCK, _content(run, seconds), over=version):
        raise RunError(f"{output.uri}: another run has just begun to write here")


def renew(output: Folder, run: str, seconds: float) -> None:
    """Hold on: write a later time.

    Raises:
        RunError: the claim was over, and another run holds the output now.
    """
    if isinstance(output, LocalFolder):
        return
    version = output.version(LOCK)
    found = holder(output)
    if found is not None and found["run"] != run:
        raise RunError(f"{output.uri}: another run has taken over here ({found['run']})")
    output.create(LOCK, _content(run, seconds), over=version)


def release(output: Folder, run: str) -> None:
    """Let go, if the run still holds it."""
    if isinstance(output, LocalFolder):
        return
    found = holder(output)
    if found is not None and found["run"] == run:
        output.delete(LOCK)


@contextlib.contextmanager
def held(output: Folder, run: str) -> Iterator[None]:
    """Hold an output while a block runs in this process."""
    acquire(output, run, LOCAL_SECONDS)
    stop = threading.Event()

    def keep() -> None:
        while not stop.wait(LOCAL_SECONDS / 4):
            with contextlib.suppress(StorageError, RunError):
                renew(output, run, LOCAL_SECONDS)

    keeper = threading.Thread(target=keep, name="lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        stop.set()
        keeper.join()
        with contextlib.suppress(StorageError):
            release(output, run)
