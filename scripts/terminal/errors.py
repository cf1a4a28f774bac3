"""Errors as an operator reads them: a line that names it, a line what to do, an exit code."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import NoReturn, Protocol, Self, runtime_checkable

import typer

CALLER, CLOUD = 2, 1  # exit codes: the caller's mistake, and everything else
INTERRUPTED = 130
_LOG_HINT = "run again with --debug for the log; finished images are kept"


@runtime_checkable
class ExplainedError(Protocol):
    """An exception that says whose fault it is and what to do, as the other rooms' do."""

    callers_fault: bool
    hint: str


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

    @classmethod
    def explained(cls, message: str, *, hint: str, callers_fault: bool) -> Self:
        """The error of another room, or of another process, in an operator's terms."""
        exit_code = CALLER if callers_fault else CLOUD
        return cls(message, hint=hint or _LOG_HINT, exit_code=exit_code)


def as_operator_error(error: Exception) -> OperatorError:
    """Return any error in an operator's terms; one without an explanation is unexpected."""
    if isinstance(error, OperatorError):
        return error
    if isinstance(error, ExplainedError):
        return OperatorError.explained(
            str(error), hint=error.hint, callers_fault=error.callers_fault
        )
    message = f"unexpected {type(error).__name__}: {error}"
    return OperatorError.explained(message, hint=_LOG_HINT, callers_fault=False)


@contextlib.contextmanager
def reporting_errors(debug: bool) -> Iterator[None]:
    """Print errors as ``error:`` and ``hint:`` and exit; a traceback only with debug.

    SIGTERM ends the block as Ctrl-C does, so that the block cleans up.
    """
    try:
        with _interrupted_by_sigterm():
            yield
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt:
        _fail("interrupted", "run the same command again: it goes on where it stopped", INTERRUPTED)
    except Exception as error:
        if debug:
            traceback.print_exc()
        explained = as_operator_error(error)
        _fail(str(explained), explained.hint, explained.exit_code)


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which has the handlers
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _fail(message: str, hint: str, exit_code: int) -> NoReturn:
    one_line = " ".join(message.split())
    print(f"error: {one_line}\nhint: {hint}", file=sys.stderr)
    raise typer.Exit(exit_code)
