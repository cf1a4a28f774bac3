"""What a notebook's cells call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from scripts.notebooks import shell, shell_json
from scripts.notebooks.session import CommandFailed
from scripts.notebooks.tables import table_text


def python(code: str) -> str:
    return f'{sys.executable} -c "{code}"'


def test_shell_prints_the_command_and_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    command = python("import sys; print(sys.stdin.read()); print(7, file=sys.stderr)")
    shell(command, stdin="token")
    assert capsys.readouterr().out.splitlines()[0] == f"$ {command}"


def test_shell_does_not_print_what_a_command_reads(capsys: pytest.CaptureFixture[str]) -> None:
    shell(python("import sys; sys.stdin.read()"), stdin="secret")
    assert "secret" not in capsys.readouterr().out


def test_shell_raises_where_a_command_fails() -> None:
    with pytest.raises(CommandFailed, match="exit code 3"):
        shell(python("raise SystemExit(3)"))


def test_shell_says_the_exit_code_of_what_may_fail(capsys: pytest.CaptureFixture[str]) -> None:
    shell(python("raise SystemExit(3)"), may_fail=True)
    assert capsys.readouterr().out.endswith("(exit code 3)\n")


def test_shell_json_returns_what_a_command_prints_and_raises_what_it_says() -> None:
    assert shell_json(python("print([1])")) == [1]
    with pytest.raises(CommandFailed, match="no such thing"):
        shell_json(python("raise SystemExit('no such thing')"))


def test_a_table_escapes_what_a_name_may_hold() -> None:
    text = table_text([{"image": "a|b<i>\n.jpg", "masks": 3, "seconds": 0.123456}])
    assert text.splitlines() == [
        "| image | masks | seconds |",
        "| --- | ---: | ---: |",
        "| a\\|b&lt;i&gt; .jpg | 3 | 0.123 |",
    ]


def test_a_failed_cell_undeploys_at_once(tmp_path: Path) -> None:
    """In a real kernel, with a ``sam-vertex`` of this test's that writes down how it is called."""
    program = tmp_path / "sam-vertex"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/called\n')
    program.chmod(0o755)
    cells: list[Any] = [
        nbformat.v4.new_code_cell(source)
        for source in (
            f"import os; os.environ['PATH'] = '{tmp_path}:' + os.environ['PATH']\n"
            "from scripts.notebooks import undeploy_after_failure\n"
            "undeploy_after_failure('outputs.json')",
            "1 + 1",
            "1 / 0",
        )
    ]
    client = NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=60)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        client.execute()
    assert (tmp_path / "called").read_text() == "model undeploy --outputs outputs.json\n"
