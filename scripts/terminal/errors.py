"""Errors as an operator reads them: a line that names it, a line what to do, an exit code."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol, Self, runtime_checkable

import typer

from scripts.terminal.interruptions import INTERRUPTED, INTERRUPTED_HINT, interruptible

CALLER, CLOUD = 2, 1  # exit codes: the caller's mistake, and everything else
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


Explanation = Callable[[Exception], OperatorError | None]
_explanations: list[Explanation] = []


def explain_with(explanation: Explanation) -> None:
    """Ask somebody who knows a library's errors, which this package does not, from now on."""
    if explanation not in _explanations:
        _explanations.append(explanation)


def as_operator_error(error: Exception) -> OperatorError:
    """Return any error in an operator's terms; one without an explanation is unexpected."""
    if isinstance(error, OperatorError):
        return error
    for explanation in _explanations:
        if (explained := explanation(error)) is not None:
            return explained
    if isinstance(error, ExplainedError):
        return OperatorError.explained(
            str(error), hint=error.hint, callers_fault=error.callers_fault
        )
    message = f"unexpected {type(error).__name__}: {error}".removesuffix(": ")
    return OperatorError.explained(message, hint=_LOG_HINT, callers_fault=False)


@contextlib.contextmanager
def reporting_errors(debug: bool) -> Iterator[None]:
    """Print errors as ``error:`` and ``hint:`` and exit; a traceback only with debug.

    SIGTERM ends the block as Ctrl-C does, so that the block cleans up.
    """
    with interruptible():
        try:
            yield
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt:
            _fail("interrupted", INTERRUPTED_HINT, INTERRUPTED)
        except Exception as error:
            if debug:
                traceback.print_exc()
            explained = as_operator_error(error)
            _fail(str(explained), explained.hint, explained.exit_code)


def _fail(message: str, hint: str, exit_code: int) -> NoReturn:
    print(f"error: {_one_line(message)}\nhint: {_one_line(hint)}", file=sys.stderr)
    raise typer.Exit(exit_code)


def _one_line(text: str) -> str:
    """The text with escapes for what a file's name, say, might do to a terminal."""
    line = " ".join(text.split())
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in line
    )
