"""Errors come as two lines with the right exit code; progress is plain where nobody watches."""

import pytest
import typer

from pipeline.local_engine import StepError
from scripts.terminal.errors import OperatorError, as_operator_error, reporting_errors
from scripts.terminal.progress import meter
from serving.sam.errors import PromptError
from serving.storage import BucketError, StorageError


def caught(error: BaseException, debug: bool = False) -> int:
    with pytest.raises(typer.Exit) as exit_, reporting_errors(debug):
        raise error
    return exit_.value.exit_code


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PromptError("prompts['a']: wrong"), 2, "error: prompts['a']: wrong"),
        (OperatorError("no\nlines", hint="do this", exit_code=1), 1, "error: no lines"),
        (ZeroDivisionError("secret"), 1, "error: unexpected ZeroDivisionError: secret"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
)
def test_reporting_errors_prints_error_and_hint(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, text: str
) -> None:
    assert caught(error) == code
    first, second = capsys.readouterr().err.splitlines()
    assert first == text
    assert second.startswith("hint: ")


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
        (StepError("the pipeline failed"), 1),
        (StepError("wrong weights", hint="others", callers_fault=True), 2),
        (type("PromptError", (Exception,), {})("another's of the same name"), 1),
    ],
)
def test_as_operator_error_tells_the_callers_fault_from_the_clouds(
    error: Exception, code: int
) -> None:
    assert as_operator_error(error).exit_code == code


def test_meter_in_a_pipe_prints_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with meter("segmenting") as bar:
        bar.update(0, None)
        for done in range(1001):
            bar.update(done, 1000, "2.00 images/s")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "segmenting: 0/1000 2.00 images/s"
    assert lines[-1] == "segmenting: 1000/1000 2.00 images/s"
    assert len(lines) <= 12
