"""Only one run at a time writes into an output folder.

A run claims its output. On this machine the claim is a file lock, which ends with its process. A
bucket has no locks, but creates an object only if told that there is none (generation 0): whoever
created ``.run.lock`` owns the claim until the time that stands in it. The owner writes a later time
now and then, and removes the object at its end. When a run has died, another takes over its claim
as soon as that time is over.

All of a run's processes may renew its claim; the first that finds it a quarter spent does so, since
Cloud Storage takes one write a second of one object. Nobody writes or removes a claim but the
generation that he has read, and a claim that cannot be read is never taken for none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from filelock import FileLock, Timeout

from pipeline.run.parameters import RunError
from serving.storage import BucketError, Folder, StorageError

LOCK = ".run.lock"
PROCESS_SECONDS = 120.0  # a live process renews its claim
JOB_SECONDS = 3600.0  # steps of a job may wait for their machines
_FRESH = 0.75  # a claim with more of its time left than this needs no renewal
_MOST_TRIES = 3  # against other processes of the same run
_NOT_FOUND = 404


class ClaimLostError(RunError):
    """A run no longer owns its output: another has taken over, and may have ended since."""

    hint: ClassVar[str] = "wait for the other run's end, then run again; finished images are kept"


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
        return json.dumps({"run": self.run, "until": round(self.until, 3)}).encode()


def read_claim(output: Folder) -> Claim | None:
    """Return the claim on an output; ``None`` where there is none, or text that is no claim.

    Raises:
        StorageError: the claim cannot be read, so nobody knows whose it is.
    """
    return _read_with_generation(output)[1]


def _read_with_generation(output: Folder) -> tuple[int, Claim | None]:
    """The claim on an output and the generation of its object; 0 where there is no object."""
    if output.is_local:  # a file lock guards it, see claimed()
        return 0, None
    # The generation first: who replaces it fails if anybody writes after this look.
    stored = output.stat(LOCK)
    if stored is None:
        return 0, None
    try:
        text = output.read_bytes(LOCK)
    except BucketError as error:
        if error.status != _NOT_FOUND:
            raise
        return 0, None  # its owner has just removed it
    try:
        content = json.loads(text)
        return stored.generation, Claim(str(content["run"]), float(content["until"]))
    except (ValueError, KeyError, TypeError):
        return stored.generation, None


def acquire_claim(output: Folder, run: str, seconds: float) -> None:
    """Claim an output for a run; a run that owns the claim already renews it.

    Raises:
        RunError: another run owns the claim.
        StorageError: the claim cannot be read or written.
    """
    if output.is_local:
        return
    claim = Claim(run, time.time() + seconds)
    if output.create(LOCK, claim.to_json()):
        return
    generation, current = _read_with_generation(output)
    if current is not None and current.run != run and current.until > time.time():
        left = current.until - time.time()
        raise RunError(
            f"{output.uri}: another run is writing here ({current.run}); wait for it or choose "
            f"another output. If it is dead, its claim ends in {left:.0f} s"
        )
    if not output.create(LOCK, claim.to_json(), replacing=generation):
        raise RunError(f"{output.uri}: another run has just begun to write here")


def renew_claim(output: Folder, run: str, seconds: float) -> None:
    """Let a run's claim end ``seconds`` from now, unless that is almost so already.

    Raises:
        ClaimLostError: the claim is no longer the run's.
        StorageError: the claim cannot be read or written.
    """
    if output.is_local:
        return
    for _ in range(_MOST_TRIES):
        generation, current = _read_with_generation(output)
        if current is None:
            raise ClaimLostError(
                f"{output.uri}: this run's claim has gone; another run may have written here since"
            )
        if current.run != run:
            raise ClaimLostError(f"{output.uri}: another run has taken over here ({current.run})")
        now = time.time()
        if current.until - now > seconds * _FRESH:
            return
        if output.create(LOCK, Claim(run, now + seconds).to_json(), replacing=generation):
            return
    raise ClaimLostError(f"{output.uri}: other processes keep writing the claim")


def release_claim(output: Folder, run: str) -> None:
    """Remove a run's claim, if it still owns the output.

    Raises:
        StorageError: the claim cannot be read or removed.
    """
    generation, current = _read_with_generation(output)
    if current is not None and current.run == run:
        output.delete(LOCK, generation=generation)


@contextlib.contextmanager
def claimed(output: Folder, run: str) -> Iterator[None]:
    """Claim an output for as long as a block runs in this process.

    Raises:
        RunError: another run owns the claim; or, at the end of the block, has taken it over.
        StorageError: the claim cannot be read or written.
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
    losses: list[ClaimLostError] = []

    def keep_renewing() -> None:
        while not losses and not stop.wait(PROCESS_SECONDS / 4):
            try:
                renew_claim(output, run, PROCESS_SECONDS)
            except ClaimLostError as error:
                losses.append(error)
            except StorageError:  # it may answer the next time; until then the claim lasts
                continue

    renewal = threading.Thread(target=keep_renewing, name="claim-renewal", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        stop.set()
        renewal.join()
        with contextlib.suppress(StorageError):
            release_claim(output, run)
    if losses:
        raise losses[0]
