"""How far a piece of work is: a bar on a terminal, plain lines elsewhere, on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from scripts.terminal.amounts import amount

Report = Callable[[str], None]  # prints a line of progress


class Meter(Protocol):
    """Shows how far a piece of work is."""

    def update(self, done: float, total: float | None, note: str = "") -> None:
        """Show the new state."""


class _Bar:
    def __init__(self, title: str, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, note="")

    def update(self, done: float, total: float | None, note: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, note=note)


class _Lines:
    """A line when a tenth more is done, but not more often than every few seconds."""

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
        share_done = f"{amount(done, self._unit)}/{amount(total, self._unit)}"
        print(f"{self._title}: {share_done} {note}".rstrip(), file=sys.stderr, flush=True)


@contextlib.contextmanager
def meter(title: str, unit: str = "images") -> Iterator[Meter]:
    """A progress bar on a terminal, plain lines elsewhere; both on standard error."""
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
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    quantity: tuple[ProgressColumn, ...] = (MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    if unit == "bytes":
        quantity = (DownloadColumn(), TransferSpeedColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), *quantity, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bar(title, progress)


def report_line(line: str) -> None:
    """Print a line about work that goes on, on standard error."""
    print(line, file=sys.stderr, flush=True)
