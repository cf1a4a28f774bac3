"""How far a run is, read from its output and shown on a meter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.terminal.amounts import duration
from scripts.terminal.progress import Meter, Pace
from serving.sam.plain_text import count

if TYPE_CHECKING:
    from pipeline.run.progress import RunProgress
    from serving.storage import Folder


class RunMeter:
    """Moves a meter by what the steps of a run write to its output.

    Args:
        output: the run's folder.
        meter: the meter that is moved.
        usd_an_hour: what all machines together cost while they run; 0 for nothing.
    """

    def __init__(self, output: Folder, meter: Meter, usd_an_hour: float = 0.0) -> None:
        from pipeline.run.progress import ProgressReader

        self._reader, self._meter = ProgressReader(output), meter
        self._usd_an_hour = usd_an_hour
        self._pace = Pace()
        self._furthest = 0.0
        self._shown: tuple[float, str] | None = None

    def show(self, phase: str = "", usd_spent: float = 0.0) -> None:
        """Read the progress and show it if it changed; what cannot be read now is read next time.

        Args:
            phase: what the run does now, shown beside the figures.
            usd_spent: what the run has cost until now.
        """
        from serving.storage import StorageError

        try:
            progress = self._reader.read()
        except (StorageError, ValueError, KeyError):
            return
        if not progress.total:
            return
        # While an image's files are written, the share in hand is the next one's already.
        finished = max(self._furthest, progress.done + progress.failed + progress.part)
        finished = self._furthest = min(finished, progress.total)
        self._pace.observe(finished, progress.total)
        if (finished, phase) != self._shown:
            self._shown = (finished, phase)
            self._meter.update(finished, progress.total, self._note(progress, phase, usd_spent))

    def _note(self, progress: RunProgress, phase: str, usd_spent: float) -> str:
        parts = [phase] if phase else []
        seconds_left = self._pace.seconds_left
        if self._pace.per_second is not None:
            parts.append(f"{self._pace.per_second:.2f} images/s")
        parts.append(count(progress.masks, "mask"))
        if seconds_left is not None:
            parts.append(f"{duration(seconds_left)} left")
        if self._usd_an_hour:
            parts.append(f"${usd_spent:.2f} so far")
            if seconds_left is not None:
                parts.append(f"${seconds_left / 3600 * self._usd_an_hour:.2f} to come")
        if progress.failed:
            parts.append(f"{progress.failed} failed")
        return ", ".join(parts)
