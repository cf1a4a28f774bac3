"""How the command line speaks: errors with a hint, progress bars, plain lines in a pipe."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn, Protocol

import typer

CALLER, CLOUD = 2, 1  # exit codes: the caller's mistake, and everything else


class OperatorError(Exception):
    """Something the operator must know, in one line, with what to do about it in another.

    Attributes:
        hint: the way out.
        exit_code: 2 for the caller's mistake, 1 for the cloud's or the machine's.
    """

    def __init__(self, message: str, *, hint: str, exit_code: int = CALLER) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


# By the class's name, so that a failure that comes from another process is worded the same.
_HINTS = {
    "PromptError": "prompts are XY pixels from the image's top left; the README shows the file",
    "ImageError": "supported are JPEG, PNG, WebP, TIFF and BMP",
    "ParameterError": "see the options' ranges with --help",
    "CheckpointError": "'sam-vertex checkpoint list' shows the known ones and which are here",
    "DeviceError": "leave --precision at auto to take what this machine has",
    "RunError": "see 'sam-vertex run --help' for what INPUT and --output may be",
    "StorageError": "check that the place exists and that you may read or write it",
}


def operator_error(kind: str, message: str) -> OperatorError:
    """Return the error for one of this project's exceptions, by its class's name."""
    exit_code = CALLER if kind in _HINTS else CLOUD
    if kind == "StorageError" and message.startswith("gs://"):
        exit_code = CLOUD
    hint = _HINTS.get(kind, "run again with --debug for the log; finished images are kept")
    return OperatorError(message, hint=hint, exit_code=exit_code)


@contextlib.contextmanager
def reporting_errors(debug: bool) -> Iterator[None]:
    """Print expected errors as ``error:`` and ``hint:`` and exit; a traceback only with debug."""
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        _fail("interrupted", "run the same command again: it goes on where it stopped", 130)
    except Exception as error:
        if debug:
            traceback.print_exc()
        if not isinstance(error, OperatorError):
            known = type(error).__name__ in _HINTS
            text = str(error) if known else f"unexpected {type(error).__name__}: {error}"
            error = operator_error(type(error).__name__, text)
        _fail(str(error), error.hint, error.exit_code)


def _fail(message: str, hint: str, exit_code: int) -> NoReturn:
    one_line = " ".join(message.split())
    print(f"error: {one_line}\nhint: {hint}", file=sys.stderr)
    raise typer.Exit(exit_code)


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
        amount = f"{_amount(done, self._unit)}/{_amount(total, self._unit)}"
        print(f"{self._title}: {amount} {note}".rstrip(), file=sys.stderr, flush=True)


def _amount(value: float, unit: str) -> str:
    return f"{value / 1e6:.1f} MB" if unit == "bytes" else f"{value:.0f}"


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

    amount: tuple[ProgressColumn, ...] = (MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    if unit == "bytes":
        amount = (DownloadColumn(), TransferSpeedColumn())
    columns = (TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield _Bar(title, progress)
