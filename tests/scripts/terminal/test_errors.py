"""Errors come as two lines with the right exit code; progress is plain where nobody watches."""

import pytest
import typer

from scripts.terminal.errors import OperatorError, meter, operator_error, reporting_errors
from serving.sam.errors import PromptError


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
    ("kind", "message", "code"),
    [
        ("PromptError", "x", 2),
        ("StorageError", "/out: No space left", 2),
        ("StorageError", "gs://bucket/x: 503", 1),
        ("", "the pipeline failed", 1),
    ],
)
def test_operator_error_tells_the_callers_fault_from_the_clouds(
    kind: str, message: str, code: int
) -> None:
    assert operator_error(kind, message).exit_code == code


def test_meter_in_a_pipe_prints_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with meter("segmenting") as bar:
        bar.update(0, None)
        for done in range(1001):
            bar.update(done, 1000, "2.00 images/s")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "segmenting: 0/1000 2.00 images/s"
    assert lines[-1] == "segmenting: 1000/1000 2.00 images/s"
    assert len(lines) <= 12
