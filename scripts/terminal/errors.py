"""Errors as an operator reads them: a line that names it, a line what to do, an exit code."""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Protocol, Self, runtime_checkable

import typer

from scripts.terminal.interruptions import INTERRUPTED, INTERRUPTED_HINT, interruptible
from serving.sam.plain_text import one_line

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
def reporting_errors(debug: bool, interrupted_hint: str = INTERRUPTED_HINT) -> Iterator[None]:
    """Turn every error of the block into an OperatorError; with debug, print its traceback.

    SIGTERM ends the block as Ctrl-C does, so that the block cleans up.

    Args:
        debug: whether to print the traceback.
        interrupted_hint: what to do after an interruption.

    Raises:
        OperatorError: the block failed, or somebody interrupted it.
    """
    with interruptible():
        try:
            yield
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt as error:
            raise OperatorError(
                "interrupted", hint=interrupted_hint, exit_code=INTERRUPTED
            ) from error
        except Exception as error:
            if debug:
                traceback.print_exc()
            raise as_operator_error(error) from error


def print_error(error: OperatorError, *, as_json: bool = False) -> None:
    """Print an error on standard error: two lines for a person, or an object for a program."""
    message, hint = one_line(str(error)), one_line(error.hint)
    if as_json:
        content = {"error": message, "hint": hint, "exit_code": error.exit_code}
        print(json.dumps(content), file=sys.stderr)
    else:
        print(f"error: {message}\nhint: {hint}", file=sys.stderr)
