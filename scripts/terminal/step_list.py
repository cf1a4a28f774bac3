"""The steps of a long piece of work, shown while it goes on, with the time each needed."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from scripts.terminal.progress import report_line

_PENDING, _RUNNING, _DONE, _FAILED = "·", "…", "✓", "✗"


class StepList:
    """Steps with their timings: a live list on a terminal, a line for each elsewhere.

    Args:
        titles: of the steps, in order.
    """

    def __init__(self, titles: list[str]) -> None:
        self._rows: list[list[Any]] = [[_PENDING, title, "", 0.0] for title in titles]
        self._live: Any = None
        self.seconds = 0.0

    @contextlib.contextmanager
    def shown(self) -> Iterator[None]:
        """Show the list while a block runs."""
        started = time.monotonic()
        try:
            if sys.stderr.isatty():
                from rich.console import Console
                from rich.live import Live

                with Live(console=Console(stderr=True), refresh_per_second=4) as self._live:
                    self._draw()
                    yield
            else:
                yield
        finally:
            self._live = None
            self.seconds = time.monotonic() - started

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Time a step; the list shows the notes that the block appends beside its title."""
        row = next(row for row in self._rows if row[1] == title)
        notes: list[str] = []
        started = time.monotonic()
        row[0] = _RUNNING
        self._draw()
        try:
            yield notes
            row[0] = _DONE
        except BaseException:
            row[0] = _FAILED
            raise
        finally:
            row[2], row[3] = ", ".join(notes), time.monotonic() - started
            self._draw()
            if self._live is None:
                number = self._rows.index(row) + 1
                report_line(f"[{number}/{len(self._rows)}] {_line(row)}")

    def timings(self) -> dict[str, float]:
        """Seconds of the steps that have ended, by title."""
        return {row[1]: round(row[3], 2) for row in self._rows if row[0] in (_DONE, _FAILED)}

    def _draw(self) -> None:
        if self._live is not None:
            from rich.text import Text

            lines = "\n".join(_line(row) for row in self._rows)
            self._live.update(Text(lines, no_wrap=True, overflow="ellipsis"), refresh=True)


def _line(row: list[Any]) -> str:
    mark, title, note, seconds = row
    time_shown = f"{seconds:6.1f} s" if mark in (_DONE, _FAILED) else " " * 8
    return f"{mark} {title:34} {time_shown}  {note}".rstrip()
