"""A mistake ends a command with a message and a hint before it makes anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from scripts.cli import app
from scripts.commands import doctor
from tests.command_line import sam_vertex


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "none.png"], "cannot read"),
        (["predict", "gs://b/a.png", "--url", "127.0.0.1:9"], "--endpoint"),
        (["predict", "none.png", "--endpoint"], "cannot read"),
        (["model", "list"], "outputs"),
        (["model", "release"], "outputs"),
        (["image", "build"], "outputs"),
        (["checkpoint", "upload", "none.pth"], "none.pth"),
        (["batch-predict", "none", "--output", "out"], "outputs"),
        (["serve", "--checkpoint", "none.pth"], "no such checkpoint"),
    ],
)
def test_mistake_is_answered_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert "hint: " in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["run", "phoots", "-o", "out"], "phoots: no such file", "did you mean photos?"),
        (["run", "photos", "-o", "afile"], "afile is a file, not a folder", "another --output"),
        (["run", "photos", "-o", "s3://x/y"], "expected a local path or a gs://", "copy the files"),
        (
            ["run", "photos", "-o", "out", "--prompts", "none.json"],
            "prompts file none.json",
            "docs/running.md shows the forms",
        ),
        (
            ["run", "photos", "-o", "out", "--prompts", "prompts.json"],
            "no such image among the 1 inputs",
            "did you mean 'apple.jpeg'?",
        ),
        (["run", "photos", "-o", "out", "--max-failed", "-1"], "or a count (25), got -1", "10%"),
        (["model", "list"], "no file outputs.json", "name the file with --outputs"),
    ],
)
def test_hint_is_about_what_happened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
    hint: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "photos" / "apple.jpeg")
    (tmp_path / "afile").touch()
    (tmp_path / "prompts.json").write_text('{"apple.jpg": {"1": [[3, 3]]}}')
    done = sam_vertex(*arguments)
    assert done.returncode == 2
    error, said = done.stderr.splitlines()[-2:]
    assert message in error and hint in said


def test_interrupted_command_that_keeps_nothing_does_not_promise_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(_outputs: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "findings", interrupted)
    done = sam_vertex("doctor")
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1] == "hint: run the same command again: it begins anew"
