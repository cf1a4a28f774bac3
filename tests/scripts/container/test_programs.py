"""A program's value is its standard output alone; long work shows its lines while it goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.container.programs import output_of, run_aloud
from scripts.terminal.errors import CLOUD, OperatorError
from tests.scripts.container.conftest import Install


def test_warning_on_standard_error_is_no_part_of_the_value(install: Install) -> None:
    install("tool", "echo 'warning: a loose object' >&2; echo abc")
    assert output_of("tool") == b"abc\n"


def test_failure_quotes_what_the_program_printed_last(
    install: Install, capfd: pytest.CaptureFixture[str]
) -> None:
    install("tool", "echo working; echo 'no space left' >&2; exit 3")
    for run in (output_of, run_aloud):
        with pytest.raises(OperatorError, match=r"(?s)tool a b failed: .*no space left") as caught:
            run("tool", "a", "b", "c")
        assert caught.value.exit_code == CLOUD
    assert capfd.readouterr().err == "working\nno space left\n"


def test_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="is not installed"):
        output_of(str(tmp_path / "none"))


def test_lines_appear_before_the_program_ends(tmp_path: Path) -> None:
    """The program waits for a file that this test makes once it has read the first line."""
    seen = tmp_path / "seen"
    script = f"echo first; while [ ! -e {seen} ]; do sleep 0.05; done; echo second >&2"
    code = f"from scripts.container.programs import run_aloud; run_aloud('sh', '-c', {script!r})"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        assert process.stderr.readline() == "first\n"
        seen.touch()
        assert process.stderr.read() == "second\n"
        assert process.stdout.read() == ""
    assert process.returncode == 0
