"""Without ``--checkpoint`` the best one that is here works, and a person is asked only once."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scripts.checkpoints import choice
from scripts.checkpoints.fetch import FetchedCheckpoint
from serving.sam.known_checkpoints import CHECKPOINTS


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def put_here(name: str) -> None:
    path = CHECKPOINTS[name].path_here
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"weights")


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that were fetched; nothing is downloaded."""
    names: list[str] = []

    def fetch(name: str, _to: Path | None) -> FetchedCheckpoint:
        names.append(name)
        return FetchedCheckpoint(name, Path("there"))

    monkeypatch.setattr(choice, "fetch_checkpoint", fetch)
    return names


def printed() -> str:
    assert isinstance(sys.stderr, Terminal)
    return sys.stderr.getvalue()


def choose_on_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> str:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys, "stderr", Terminal())
    return choice.choose_checkpoint()


def test_best_checkpoint_is_the_largest_of_metas_that_is_here() -> None:
    assert choice.best_checkpoint() == "vit_tiny"
    put_here("vit_b")
    assert choice.best_checkpoint() == "vit_b"
    put_here("vit_l")
    assert choice.best_checkpoint() == "vit_l"


def test_the_best_is_named_and_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, fetched: list[str]
) -> None:
    put_here("vit_b")
    assert choose_on_a_terminal(monkeypatch, "") == "vit_b"
    assert "checkpoint: vit_b, the best on this machine" in printed()
    assert fetched == []


@pytest.mark.parametrize(
    ("answer", "chosen"), [("y\n", "vit_b"), ("n\n", "vit_tiny"), ("\n", "vit_tiny")]
)
def test_on_a_terminal_the_demo_network_offers_a_better_one(
    monkeypatch: pytest.MonkeyPatch, fetched: list[str], answer: str, chosen: str
) -> None:
    assert choose_on_a_terminal(monkeypatch, answer) == chosen
    assert fetched == (["vit_b"] if chosen == "vit_b" else [])
    assert "375.0 MB" in printed()


def test_without_a_terminal_nobody_is_asked(fetched: list[str]) -> None:
    assert choice.choose_checkpoint() == "vit_tiny"
    assert fetched == []


def test_run_takes_a_fetched_checkpoint_by_itself(image_folder: Path, tmp_path: Path) -> None:
    """What lies there is no checkpoint, and the error names it: so it was the one taken."""
    from scripts.cli import app

    put_here("vit_b")
    result: Any = CliRunner().invoke(app, ["run", str(image_folder), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert str(CHECKPOINTS["vit_b"].path_here) in result.stderr
