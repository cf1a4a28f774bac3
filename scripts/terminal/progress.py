"""How far a piece of work is: a bar on a terminal, plain lines elsewhere, on standard error.

A :class:`Meter` shows how far the work is, a :class:`Pace` says how fast it goes, and
:func:`repeating` looks at it again and again while it goes on.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from scripts.terminal.amounts import amount
from serving.sam.plain_text import visible

Report = Callable[[str], None]  # prints a line of progress


_quiet = False  # a process runs one command


@contextlib.contextmanager
def quiet(wanted: bool) -> Iterator[None]:
    """Print no progress while the block runs, where that is wanted, but every event."""
    global _quiet
    earlier, _quiet = _quiet, wanted
    try:
        yield
    finally:
        _quiet = earlier


def report_line(line: str) -> None:
    """Print a line about work that goes on, on standard error, apart from a command's result."""
    if not _quiet:
        report_event(line)


def report_event(line: str) -> None:
    """Print a line that ``--quiet`` keeps: what costs money, goes on unseen, or was not checked."""
    plain = "\n".join(visible(part) for part in line.split("\n"))
    print(plain, file=sys.stderr, flush=True)


class Meter(Protocol):
    """Shows how far a piece of work is."""

    def update(self, done: float, total: float | None, note: str = "") -> None:
        """Show the new state; a ``total`` of ``None`` is not known yet."""


class _Bar:
    def __init__(self, title: str, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, note="")

    def update(self, done: float, total: float | None, note: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, note=visible(note))


class _Lines:
    """Prints a line when a tenth more is done, but not more often than every two seconds."""

    def __init__(self, title: str, unit: str) -> None:
        self._title, self._unit = title, unit
        self._share, self._time = -1, 0.0

    def update(self, done: float, total: float | None, note: str = "") -> None:
        if total is None:
            return
        share = int(10 * done / total) if total else 10
        finished = done >= total
        if share == self._share or (time.monotonic() - self._time < 2 and not finished):
            return
        self._share, self._time = share, time.monotonic()
        share_done = f"{amount(math.floor(done), self._unit)}/{amount(total, self._unit)}"
        report_line(f"{self._title}: {share_done} {note}".rstrip())


class _Nothing:
    def update(self, done: float, total: float | None, note: str = "") -> None:
        pass


@contextlib.contextmanager
def meter(title: str, unit: str = "images", *, notes_time: bool = False) -> Iterator[Meter]:
    """Show a progress bar on a terminal and print plain lines elsewhere, on standard error.

    Args:
        title: of the work.
        unit: of the work; ``bytes`` are shown in megabytes.
        notes_time: whether the notes say how much time is left; then a bar shows the time that
            has passed instead.
    """
    if _quiet:
        yield _Nothing()
        return
    if not sys.stderr.isatty():
        yield _Lines(title, unit)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    def _plain_column(text: str) -> TextColumn:
        return TextColumn(text, markup=False)  # a name in brackets is no colour

    quantity: tuple[ProgressColumn, ...] = (
        MofNCompleteColumn(),
        _plain_column("{task.fields[note]}"),
    )
    if unit == "bytes":
        quantity = (DownloadColumn(), TransferSpeedColumn())
    clock = TimeElapsedColumn() if notes_time else TimeRemainingColumn()
    columns = (_plain_column("{task.description}"), BarColumn(), *quantity, clock)
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bar(title, progress)


class Pace:
    """How fast a piece of work goes, counted from the first progress that is seen.

    Attributes:
        per_second: units done in a second; ``None`` before there are two to compare.
        seconds_left: until all are done at that pace; likewise.
    """

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self.per_second: float | None = None
        self.seconds_left: float | None = None

    def observe(self, done: float, total: float) -> None:
        """Take in how far the work is now."""
        now = time.monotonic()
        if self._first is None:
            self._first = (now, done) if done else None
            return
        first_time, first_done = self._first
        if done > first_done:
            self.per_second = (done - first_done) / max(now - first_time, 1e-3)
            self.seconds_left = (total - done) / self.per_second


@contextlib.contextmanager
def repeating(show: Callable[[], None], pause_seconds: float) -> Iterator[None]:
    """Call ``show`` in a thread while a block runs, and once more at its end."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(pause_seconds):
            show()
        show()

    thread = threading.Thread(target=repeat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
