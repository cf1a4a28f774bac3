"""Only one run at a time writes into an output folder.

A run claims its output. On this machine the claim is a file lock, which ends with its process. A
bucket has no locks, but creates an object only if told that there is none (generation 0): whoever
created ``.run.lock`` owns the claim until the time that stands in it. The owner writes a later time
now and then, and removes the object at its end. When a run has died, another takes over its claim
as soon as that time is over.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.run.parameters import RunError
from serving.storage import Folder, StorageError

LOCK = ".run.lock"
PROCESS_SECONDS = 120.0  # a live process renews its claim
JOB_SECONDS = 3600.0  # steps of a job may wait for their machines


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """A run's claim on an output in a bucket.

    Attributes:
        run: the run that owns it.
        until: when it ends unless the run renews it, seconds since 1970.
    """

    run: str
    until: float

    def to_json(self) -> bytes:
        """The content of the claim's object."""
        return json.dumps({"run": self.run, "until": round(self.until, 1)}).encode()


def read_claim(output: Folder) -> Claim | None:
    """Return the claim on an output; ``None`` where there is none or it cannot be read."""
    try:
        content = json.loads(output.read_bytes(LOCK))
        return Claim(str(content["run"]), float(content["until"]))
    except (StorageError, ValueError, KeyError, TypeError):
        return None


def acquire_claim(output: Folder, run: str, seconds: float) -> None:
    """Claim an output for a run; a run that owns the claim already renews it.

    Raises:
        RunError: another run owns the claim.
        StorageError: the output cannot be written.
    """
    if output.is_local:  # a file lock guards it, see claimed()
        return
    claim = Claim(run, time.time() + seconds)
    if output.create(LOCK, claim.to_json()):
        return
    # The generation first: a run that writes after this look makes the take-over below fail.
    generation = _generation(output)
    current = read_claim(output)
    if current is not None and current.run != run and current.until > time.time():
        left = current.until - time.time()
        raise RunError(
            f"{output.uri}: another run is writing here ({current.run}); wait for it or choose "
            f"another output. If it is dead, its claim ends in {left:.0f} s"
        )
    if not output.create(LOCK, claim.to_json(), replacing=generation):
        raise RunError(f"{output.uri}: another run has just begun to write here")


def renew_claim(output: Folder, run: str, seconds: float) -> None:
    """Let a run's claim end ``seconds`` from now.

    Raises:
        RunError: the claim had ended, and another run owns the output now.
        StorageError: the output cannot be written.
    """
    if output.is_local:
        return
    generation = _generation(output)
    current = read_claim(output)
    if current is not None and current.run != run:
        raise RunError(f"{output.uri}: another run has taken over here ({current.run})")
    output.create(LOCK, Claim(run, time.time() + seconds).to_json(), replacing=generation)


def release_claim(output: Folder, run: str) -> None:
    """Remove a run's claim, if it still owns the output."""
    current = read_claim(output)
    if current is not None and current.run == run:
        output.delete(LOCK)


@contextlib.contextmanager
def claimed(output: Folder, run: str) -> Iterator[None]:
    """Claim an output for as long as a block runs in this process.

    Raises:
        RunError: another run owns the claim.
        StorageError: the output cannot be written.
    """
    with _locked(output) if output.is_local else _renewed_claim(output, run):
        yield


@contextlib.contextmanager
def _locked(output: Folder) -> Iterator[None]:
    lock = FileLock(output.uri_of(LOCK), blocking=False)
    try:
        Path(output.uri).mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunError(
            f"{output.uri}: another run is writing here; wait for it or choose another output"
        ) from error
    except OSError as error:
        raise StorageError(f"{output.uri}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _renewed_claim(output: Folder, run: str) -> Iterator[None]:
    acquire_claim(output, run, PROCESS_SECONDS)
    stop = threading.Event()

    def keep_renewing() -> None:
        while not stop.wait(PROCESS_SECONDS / 4):
            with contextlib.suppress(StorageError, RunError):
                renew_claim(output, run, PROCESS_SECONDS)

    renewal = threading.Thread(target=keep_renewing, name="claim-renewal", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        stop.set()
        renewal.join()
        with contextlib.suppress(StorageError):
            release_claim(output, run)


def _generation(output: Folder) -> int:
    stored = output.stat(LOCK)
    return stored.generation if stored is not None else 0
