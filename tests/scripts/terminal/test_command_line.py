"""A wrong command line is answered in the one face of errors, and the help can be copied."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from scripts.cli import app
from tests.command_line import sam_vertex


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["run", "--outptu", "x"], "no such option: --outptu", "did you mean --output or"),
        (["runn"], "no such command: runn", "did you mean 'sam-vertex run'?"),
        (["model", "lits"], "no such command: lits", "'sam-vertex model list'?"),
        (["run", "a", "--shards", "x"], "--shards: expected a whole number from 1 to 1000, got 'x'",
         "sam-vertex run --help"),
        (["run", "a", "--shards", "0"], "--shards: expected a whole number from 1 to 1000, got '0'",
         "sam-vertex run --help"),
        (["run", "a", "--precision", "fp17"], "--precision: expected one of auto, fp32, bf16, fp16",
         "did you mean fp16?"),
        (["cost", "--prompted", "2"], "--prompted: expected a number from 0", "cost --help"),
        (["predict"], "missing IMAGE", "sam-vertex predict --help"),
        (["checkpoint", "fetch", "a", "b"], "unexpected extra argument(s) (b)", "fetch --help"),
    ],
)  # fmt: skip
def test_wrong_command_line_has_the_face_of_every_error(
    arguments: list[str], error: str, hint: str
) -> None:
    done = sam_vertex(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ") and error in first
    assert second.startswith("hint: ") and hint in second


@pytest.mark.parametrize("arguments", [["runn", "--json"], ["model", "list", "--json"]])
def test_error_of_a_command_with_json_is_an_object(
    arguments: list[str], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = sam_vertex(*arguments)
    assert done.stdout == ""
    content = json.loads(done.stderr.splitlines()[-1])
    assert content.keys() == {"error", "hint", "exit_code"}
    assert content["exit_code"] == done.returncode == 2


def _paths(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    below = getattr(command, "commands", {})
    return [path] + [found for name in below for found in _paths(below[name], (*path, name))]


def test_help_of_every_command_is_whole_at_80_columns() -> None:
    program: Any = typer.main.get_command(app)
    for path in _paths(program):
        shown = CliRunner().invoke(app, [*path, "-h"], terminal_width=80)
        assert shown.exit_code == 0
        head, _, examples = shown.output.partition("Examples:")
        assert max(map(len, head.splitlines())) <= 80, path
        usage = head.partition("\n")[0]
        assert not set("{}") & set(usage) and "......" not in usage and "[[" not in usage, usage
        assert "\u2026" not in head and "..." not in head.partition("Options:")[2], path
        command = program
        for name in path:
            command = command.commands[name]
        for option in command.params:
            assert all(name in head for name in option.opts if name.startswith("--")), path
        for line in examples.splitlines():
            assert not line.strip() or "sam-vertex" in line, path
            assert " | " not in line


def test_version_and_completion_are_there() -> None:
    assert sam_vertex("--version").stdout.startswith("sam-vertex 0.")
    shown = CliRunner().invoke(app, [], env={"_SAM_VERTEX_COMPLETE": "complete_bash",
        "COMP_WORDS": "sam-vertex ru", "COMP_CWORD": "1"}, prog_name="sam-vertex")  # fmt: skip
    assert shown.output.split() == ["run"]
