"""Only one run at a time writes into an output folder.

A run claims its output. On this machine the claim is a file lock, which ends with its process. A
bucket has no locks, but creates an object only if told that there is none (generation 0): whoever
created ``.run.lock`` owns the claim for as many seconds as stand in it. The owner writes it anew
now and then, and removes the object at its end. When a run has died, another takes over its claim
as soon as those seconds are over. They count by the clock of Cloud Storage, which stamps every
object and is asked what time it is: the clocks of two machines are never compared.

All of a run's processes may renew its claim; the first that finds it a quarter spent does so, since
Cloud Storage takes one write a second of one object (its page "Quotas and limits", "Maximum rate of
writes to the same object name"). Nobody writes or removes a claim but the generation that he has
read, and a claim that cannot be read is never taken for none.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.run.output_layout import LOCK
from pipeline.run.parameters import RunError
from serving.storage import Folder, StorageError, local_error

PROCESS_SECONDS = 120.0  # a live process renews its claim
JOB_SECONDS = 3600.0  # steps of a job may wait for their machines
_FRESH = 0.75  # a claim with more of its time left than this needs no renewal
_WAIT = "wait until it has ended, or choose another --output"
_MOST_TRIES = 3  # against other processes of the same run


class ClaimLostError(RunError):
    """A run no longer owns its output: another has taken over, and may have ended since."""

    hint: str = "wait for the other run's end, then run again; finished images are kept"


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """A run's claim on an output in a bucket.

    Attributes:
        run: the run that owns it.
        seconds: how long after its last write it ends.
    """

    run: str
    seconds: float

    def to_json(self) -> bytes:
        """The content of the claim's object, no two times the same.

        Whoever lost the answer to a write knows by the content whether it was carried out.
        """
        content = {"run": self.run, "seconds": self.seconds, "write": secrets.token_hex(6)}
        return json.dumps(content).encode()


def name_of_process() -> str:
    """A name for what this process does, for its claim: unique, and telling to a person."""
    return f"{socket.gethostname()}, process {os.getpid()}, {secrets.token_hex(3)}"


def read_claim(output: Folder) -> Claim | None:
    """Return the claim on an output; ``None`` where there is none, or text that is no claim.

    Raises:
        StorageError: the claim cannot be read, so nobody knows whose it is.
    """
    return _look(output).claim


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    """The claim on an output as it was read.

    Attributes:
        claim: ``None`` where there is no object, or one that is no claim.
        generation: of its object; 0 where there is none.
        written: when, by the storage's clock.
    """

    claim: Claim | None = None
    generation: int = 0
    written: float = 0.0

    def seconds_left(self, output: Folder) -> float:
        """How long the claim lasts unless its run renews it; asks the storage for the time."""
        seconds = self.claim.seconds if self.claim is not None else 0.0
        return self.written + seconds - output.clock()


def _look(output: Folder) -> _Look:
    if output.is_local:  # a file lock guards it, see claimed()
        return _Look()
    # The generation first: who replaces it fails if anybody writes after this look.
    stored = output.stat(LOCK)
    if stored is None:
        return _Look()
    try:
        text = output.read_bytes(LOCK)
    except StorageError as error:
        if not error.missing:
            raise
        return _Look()  # its owner has just removed it
    return _Look(_parse(text), stored.generation, stored.updated)


def _parse(text: bytes) -> Claim | None:
    try:
        content = json.loads(text)
        # Before 0.8.0 a claim named the time of its end, by the clock of whoever wrote it.
        return Claim(str(content["run"]), float(content.get("seconds", JOB_SECONDS)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def acquire_claim(output: Folder, run: str, seconds: float) -> None:
    """Claim an output for a run; a run that owns the claim already renews it.

    Raises:
        RunError: another run owns the claim.
        StorageError: the claim cannot be read or written.
    """
    if output.is_local:
        return
    claim = Claim(run, seconds)
    if output.create(LOCK, claim.to_json()):
        return
    look = _look(output)
    if look.claim is not None and look.claim.run != run:
        left = look.seconds_left(output)
        if left > 0:
            raise RunError(
                f"{output.uri}: another run is writing here ({look.claim.run}); "
                f"if it is dead, its claim ends in {left:.0f} s",
                hint=_WAIT,
            )
    if not output.create(LOCK, claim.to_json(), replacing=look.generation):
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
        look = _look(output)
        if look.claim is None:
            raise ClaimLostError(
                f"{output.uri}: this run's claim has gone; another run may have written here since"
            )
        if look.claim.run != run:
            raise ClaimLostError(
                f"{output.uri}: another run has taken over here ({look.claim.run})"
            )
        if look.seconds_left(output) > seconds * _FRESH:
            return
        if output.create(LOCK, Claim(run, seconds).to_json(), replacing=look.generation):
            return
    raise ClaimLostError(f"{output.uri}: other processes keep writing the claim")


def release_claim(output: Folder, run: str) -> None:
    """Remove a run's claim, if it still owns the output.

    Raises:
        StorageError: the claim cannot be read or removed.
    """
    look = _look(output)
    if look.claim is not None and look.claim.run == run:
        output.delete(LOCK, generation=look.generation)


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
        raise RunError(f"{output.uri}: another run is writing here", hint=_WAIT) from error
    except OSError as error:
        raise local_error(output.uri, error) from error
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
