"""A mistake ends a command with a message and a hint before it makes anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.cli import app


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
