"""The output of a run as its steps open it: who has lost the claim writes nothing more.

A laptop that slept, or a job that waited long for its machine, goes on where it was, while another
run has taken over. So a step asks before it writes whether the claim is still its run's; not before
each write, but as soon as a quarter of the claim's time has passed since it asked last.
"""

from __future__ import annotations

import threading
import time

from pipeline.run.claim import JOB_SECONDS, PROCESS_SECONDS, renew_claim
from pipeline.run.output_layout import BATCH
from pipeline.run.parameters import RunError, RunParameters
from pipeline.run.step_process import claim_of_local_run
from serving.storage import Folder, open_folder


def open_output(parameters: RunParameters) -> Folder:
    """Open the output of a run for a step of it, and check that the run owns it.

    Without a claim (a file lock guards a local folder) every write goes through.

    Raises:
        ClaimLostError: another run has taken over; each later write may raise it too.
        StorageError: the claim cannot be read or written.
    """
    if parameters.run_id:
        return guarded(parameters.output, parameters.run_id, JOB_SECONDS)
    run = claim_of_local_run()
    if run:
        return guarded(parameters.output, run, PROCESS_SECONDS)
    return open_folder(parameters.output)


def refuse_awaited_batch(output: Folder) -> None:
    """Refuse an output that waits for a batch prediction, which a run would forget.

    Raises:
        RunError: it does; the job goes on and bills, and nobody would collect what it computes.
        StorageError: the output cannot be read.
    """
    if output.exists(BATCH):
        raise RunError(
            f"{output.uri}: a batch prediction computes these images and was not collected yet; "
            "collect it first with the same 'sam-vertex batch-predict' command, or choose another "
            "output"
        )


def guarded(uri: str, run: str, seconds: float) -> Folder:
    """Open an output that a run has claimed; every write of the folder checks the claim.

    Args:
        uri: the output.
        run: the run's name in its claim.
        seconds: how long the run claims the output each time.

    Raises:
        ClaimLostError: another run has taken over; each later write may raise it too.
        StorageError: the claim cannot be read or written.
    """
    output = open_folder(uri)
    if not output.is_local:  # a file lock cannot be lost
        check = _ClaimCheck(open_folder(uri), run, seconds)
        check()
        output.before_write = check
    return output


class _ClaimCheck:
    """Renews the claim, or raises ClaimLostError, where nobody has looked for a while."""

    def __init__(self, output: Folder, run: str, seconds: float) -> None:
        self._output, self._run, self._seconds = output, run, seconds
        self._checked = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            now = time.time()  # not the monotonic clock, which stands still while a laptop sleeps
            if not self._checked <= now < self._checked + self._seconds / 4:
                renew_claim(self._output, self._run, self._seconds)
                self._checked = now
