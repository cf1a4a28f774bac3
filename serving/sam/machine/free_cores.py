"""How many threads compute: as many as there are cores that nobody else uses.

Threads of OpenMP meet thousands of times an image, and where another process has taken the core of
one of them, all the others wait for it. On two cores of which one is taken, one thread is therefore
faster than two, however the waiting ones wait; on an idle machine two are.

Linux counts in ``/proc/stat`` what each core did; without our own share that is what the others
took. After a pause that says nothing of now; then the same file says how many threads run or wait.
Where it says nothing (macOS, some sandboxes) the number of threads stays as it is.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_STAT = Path("/proc/stat")
_IDLE = (3, 4)  # proc(5), /proc/stat: idle and iowait among the numbers of a core
_GUESTS = 8  # the numbers from here on, guests' time, are in the earlier ones already
_LOOK_SECONDS = 0.25  # between two looks; the kernel counts in hundredths of a second
_STALE_SECONDS = 1.0  # what others did before says nothing of now


class FreeCores:
    """Watches what other processes leave of this process's cores.

    Args:
        busy_seconds: seconds of work that those cores have done, whoever it was for; ``None`` where
            the system does not tell.
        own_seconds: seconds of work that this process has done.
        running: how many threads of the machine run or wait for a core now, the caller among them;
            ``None`` where the system does not tell.
        clock: seconds of a clock that only goes forward.
        cores: how many there are.
    """

    def __init__(
        self,
        busy_seconds: Callable[[], float | None],
        own_seconds: Callable[[], float],
        running: Callable[[], int | None],
        clock: Callable[[], float],
        cores: int,
    ) -> None:
        self._busy, self._own, self._running = busy_seconds, own_seconds, running
        self._clock, self._cores = clock, cores
        self._lock = threading.Lock()
        self._free = float(cores)
        self._seen = self._look()

    def _look(self) -> tuple[float, float, float | None]:
        return self._clock(), self._own(), self._busy()

    def __call__(self) -> float:
        """Cores that others have left free since the last look, from 0 to all.

        Where that was long ago, after a pause, those that they leave at this moment.
        """
        with self._lock:
            at, own, busy = self._seen
            if self._clock() - at < _LOOK_SECONDS:
                return self._free
            self._seen = now, own_now, busy_now = self._look()
            others: float | None = None
            # A long step is no pause: its own threads, which may spin still, would count as others.
            paused = own_now - own < (now - at) / 2
            if now - at > _STALE_SECONDS and paused:
                running = self._running()
                others = None if running is None else running - 1
            elif busy is not None and busy_now is not None:
                others = ((busy_now - busy) - (own_now - own)) / (now - at)
            if others is not None:
                self._free = self._cores - min(max(others, 0.0), self._cores)
            return self._free


def _affinity() -> set[int]:
    """The numbers of the cores that this process may use."""
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # macOS
        return set(range(os.cpu_count() or 1))


def _busy_seconds() -> float | None:
    """Seconds of work that this process's cores have done since the start of the machine."""
    mine = {f"cpu{number}" for number in _affinity()}
    try:
        lines = [line.split() for line in _STAT.read_text("ascii").splitlines()]
    except OSError:
        return None
    ticks = 0
    for name, *numbers in lines:
        if name in mine:
            ticks += sum(
                int(number)
                for column, number in enumerate(numbers[:_GUESTS])
                if column not in _IDLE
            )
    return ticks / os.sysconf("SC_CLK_TCK")


def _running() -> int | None:
    """Threads that run or wait for a core, ours included: the least of three times in 2 ms.

    Many threads run for less than that, and whoever runs for long is there each time.
    """
    counts = []
    for pause in (0.0, 0.001, 0.001):
        time.sleep(pause)
        try:
            text = _STAT.read_text("ascii")
        except OSError:
            return None
        found = re.search(r"^procs_running (\d+)$", text, re.MULTILINE)
        if found is None:
            return None
        counts.append(int(found[1]))
    return min(counts)


_free_cores = FreeCores(
    _busy_seconds, time.process_time, _running, time.monotonic, len(_affinity())
)


def threads_for(free: float, most: int) -> int:
    """The threads that fit on so many free cores: one at least, and never more than allowed."""
    return max(1, min(most, round(free)))


class _ThisThread(threading.local):
    """What is known of the calling thread.

    Attributes:
        has_computed: whether its number of threads is its owner's choice.
        look: looks again at the free cores, within ``threads_on_free_cores``.
    """

    has_computed = False
    look: Callable[[], None] | None = None


_this_thread = _ThisThread()
_lowered_from = 0  # the most that a thread had when this module lowered its number


def _most_threads() -> int:
    """The number of the calling thread, as its owner has it.

    A new thread begins with the number that was set last, in whatever thread, so it may be one that
    this module has lowered.
    """
    import torch

    own = torch.get_num_threads()
    if _this_thread.has_computed:
        return own
    _this_thread.has_computed = True
    return max(own, _lowered_from)


@contextlib.contextmanager
def threads_on_free_cores() -> Iterator[Callable[[], None]]:
    """Compute a block with as many threads of PyTorch as there are free cores.

    It never takes more than the caller's own number (``torch.get_num_threads``), which it restores.
    The number belongs to the calling thread.

    Yields:
        A function that looks again, for a block that goes on for long.
    """
    import torch

    most = _most_threads()

    def look() -> None:
        global _lowered_from
        threads = threads_for(_free_cores(), most)
        if threads < most:
            _lowered_from = max(_lowered_from, most)
        if threads != torch.get_num_threads():
            torch.set_num_threads(threads)

    look()
    outer, _this_thread.look = _this_thread.look, look
    try:
        yield look
    finally:
        _this_thread.look = outer
        if torch.get_num_threads() != most:
            torch.set_num_threads(most)


def look_again() -> None:
    """Look again in the middle of a long step; outside ``threads_on_free_cores`` nothing."""
    if _this_thread.look is not None:
        _this_thread.look()
