"""How far a run is, read from its output and shown on a meter."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from scripts.terminal.amounts import duration
from scripts.terminal.progress import Meter

if TYPE_CHECKING:
    from serving.storage import Folder

_POLL_SECONDS = {"local": 0.3, "bucket": 5.0}


class RunMeter:
    """Moves a meter by what the steps of a run leave in its output.

    Args:
        output: the run's folder.
        shards: how many there may be at most.
        bar: what is moved.
        usd_an_hour: what all machines together cost; 0 for nothing.
    """

    def __init__(self, output: Folder, shards: int, bar: Meter, usd_an_hour: float = 0.0) -> None:
        self._output, self._shards, self._bar = output, shards, bar
        self._usd_an_hour = usd_an_hour
        self._begun = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._shown = ""
        self.seen = 0

    def show(self, phase: str = "") -> None:
        """Look, and show what is new; what cannot be read now is read the next time."""
        from pipeline.run.manifest import read_progress
        from serving.storage import StorageError

        try:
            progress = read_progress(self._output, self._shards)
        except (StorageError, ValueError, KeyError):
            return
        if not progress.total:
            return
        now = time.monotonic()
        self.seen = progress.done + progress.failed
        if self._first is None and self.seen:
            self._first = (now, self.seen)
        parts = [phase] if phase else []
        seconds_left = None
        if self._first and self.seen > self._first[1]:
            pace = (self.seen - self._first[1]) / max(now - self._first[0], 1e-3)
            seconds_left = (progress.total - self.seen) / pace
            parts.append(f"{pace:.2f} images/s")
        parts.append(f"{progress.masks} masks")
        if seconds_left is not None:
            parts.append(f"{duration(seconds_left)} left")
        if self._usd_an_hour:
            spent = (now - self._begun) / 3600 * self._usd_an_hour
            parts.append(f"${spent:.2f} so far")
            if seconds_left is not None:
                parts.append(f"${seconds_left / 3600 * self._usd_an_hour:.2f} to come")
        if progress.failed:
            parts.append(f"{progress.failed} failed")
        note = ", ".join(parts)
        if f"{self.seen} {phase}" != self._shown:
            self._shown = f"{self.seen} {phase}"
            self._bar.update(self.seen, progress.total, note)


class following:
    """Move a meter in a thread while the steps run in their own processes."""

    def __init__(self, meter: RunMeter, *, local: bool) -> None:
        self._meter = meter
        self._pause = _POLL_SECONDS["local" if local else "bucket"]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stop.wait(self._pause):
            self._meter.show()
        self._meter.show()
