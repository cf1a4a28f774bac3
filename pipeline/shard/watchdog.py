"""Ends a shard's process that no longer gets anywhere, which would bill until somebody looks.

A call of a GPU that never returns, or a read that stalls, ends no process. Vertex AI itself ends a
task after seven days (its REST reference, ``CustomJobSpec.scheduling.timeout``: "The default is 7
days"), so the step that watches the process has limits of its own.
"""

from __future__ import annotations

import dataclasses
import math
import subprocess
import time
from pathlib import Path

from pipeline.run.parameters import RunParameters

SILENT_SECONDS = 1800.0  # a hundred times what the slowest network takes on a CPU
_POINTS = 32  # on a side of the grid for which that holds; the work grows with its square
_POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """How long a process may take.

    Attributes:
        silent_seconds: for one image, and for everything before the first.
        total_seconds: for everything.
    """

    silent_seconds: float = SILENT_SECONDS
    total_seconds: float = math.inf

    @classmethod
    def of_run(cls, run: RunParameters, spent: float) -> WorkerLimits:
        """The limits of a run's process.

        Args:
            run: the run; its forecast may name the most seconds of a shard.
            spent: seconds that earlier processes of the shard took.
        """
        grid = ((run.points_per_side or _POINTS) / _POINTS) ** 2
        most = float(run.forecast.get("most_shard_seconds") or math.inf)
        return cls(
            silent_seconds=SILENT_SECONDS * max(grid, 1.0), total_seconds=max(most - spent, 0.0)
        )


def wait_for_worker(
    process: subprocess.Popen[str], note_path: Path, limits: WorkerLimits
) -> tuple[str, bool]:
    """Wait until a process ends, or end it.

    Times are those of the monotonic clock, which stands still while a laptop sleeps.

    Args:
        process: the process.
        note_path: the file in which it notes the image in hand.
        limits: what it must keep.

    Returns:
        Why it was ended, empty where it ended by itself; and whether all its time is over.
    """
    started = changed = time.monotonic()
    seen = _state_of(note_path)
    while True:
        try:
            process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        else:
            return "", False
        now, state = time.monotonic(), _state_of(note_path)
        if state != seen:
            seen, changed = state, now
        over = now - started > limits.total_seconds
        if over or now - changed > limits.silent_seconds:
            process.kill()
            process.wait()
            if over:
                return f"the limit of {limits.total_seconds:.0f} s for this shard", True
            return f"the limit of {limits.silent_seconds:.0f} s for one image", False


def _state_of(note_path: Path) -> tuple[int, int]:
    """What changes with every note."""
    try:
        status = note_path.stat()
    except OSError:
        return (0, 0)
    return (status.st_mtime_ns, status.st_size)
