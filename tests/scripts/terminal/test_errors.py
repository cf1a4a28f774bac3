"""Errors come as two lines with the right exit code."""

import os
import signal
import time

import pytest

from pipeline.local_engine import StepError
from scripts.terminal.errors import OperatorError, as_operator_error, print_error, reporting_errors
from serving.sam.errors import PromptError
from serving.storage import BucketError, StorageError


def caught(error: BaseException, debug: bool = False) -> OperatorError:
    with pytest.raises(OperatorError) as reported, reporting_errors(debug):
        raise error
    return reported.value


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PromptError("prompts['a']: wrong"), 2, "error: prompts['a']: wrong"),
        (OperatorError("no\nlines", hint="do this", exit_code=1), 1, "error: no lines"),
        (ZeroDivisionError("secret"), 1, "error: unexpected ZeroDivisionError: secret"),
        (MemoryError(), 1, "error: unexpected MemoryError"),
        (OperatorError("\x1b[31mx\u202ey\udcff", hint="z"), 2, r"error: \x1b[31mx\u202ey\udcff"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
)
def test_reporting_errors_prints_error_and_hint(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, text: str
) -> None:
    explained = caught(error)
    assert explained.exit_code == code
    print_error(explained)
    first, second = capsys.readouterr().err.splitlines()
    assert first == text
    assert second.startswith("hint: ")


def test_sigterm_ends_a_command_as_an_interruption_does() -> None:
    earlier = signal.getsignal(signal.SIGTERM)
    cleaned = []
    with pytest.raises(OperatorError) as reported, reporting_errors(False):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            cleaned.append(True)
    assert reported.value.exit_code == 130 and cleaned
    assert str(reported.value) == "interrupted"
    assert signal.getsignal(signal.SIGTERM) is earlier


def test_reporting_errors_with_debug_adds_the_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    caught(PromptError("x"), debug=True)
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PromptError("x"), 2),
        (StorageError("/out: No space left"), 2),
        (BucketError("gs://bucket/x: 503"), 1),
        (StepError("the pipeline failed", hint="the log"), 1),
        (StepError("wrong weights", hint="others", callers_fault=True), 2),
        (type("PromptError", (Exception,), {})("another's of the same name"), 1),
    ],
)
def test_as_operator_error_tells_the_callers_fault_from_the_clouds(
    error: Exception, code: int
) -> None:
    assert as_operator_error(error).exit_code == code
