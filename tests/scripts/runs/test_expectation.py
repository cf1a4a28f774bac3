"""What a run will take is told before it begins, and long or costly work is asked first."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunParameters
from scripts.costs.estimates import Estimate
from scripts.costs.throughput import THIS_MACHINE, remember
from scripts.runs.expectation import agree, expect_here
from tests.command_line import sam_vertex


def measured(**settings: object) -> Mapping[str, Any]:
    """Figures of a run of ten images, twenty seconds each."""
    return {
        "prompted": 0, "done": 10, "megapixels": 10.0, "model": {"name": "vit_tiny"},
        "device": "cpu", "seconds_per_stage": {}, "settings": settings,
        "run": {"computed": 10, "shard_seconds": 200.0},
    }  # fmt: skip


@pytest.fixture
def run(image_folder: Path, tmp_path: Path) -> RunParameters:
    return RunParameters(inputs=(str(image_folder),), output=str(tmp_path / "out"))


def test_what_is_left_is_estimated_from_what_earlier_runs_took(run: RunParameters) -> None:
    images = find_images(run)
    assert expect_here(run, images, 0) is None
    remember(measured(), THIS_MACHINE)
    for finished, seconds in ((0, 60.0), (2, 20.0)):
        estimated = expect_here(run, images, finished)
        assert estimated is not None and estimated.seconds == pytest.approx(seconds)
        assert estimated.usd == 0
    assert expect_here(run, images, 3) is None


def test_another_grid_neither_has_an_estimate_nor_makes_one(run: RunParameters) -> None:
    remember(measured(points_per_side=4), THIS_MACHINE)
    assert expect_here(run, find_images(run), 0) is None


def test_dry_run_tells_and_does_nothing(image_folder: Path, tmp_path: Path) -> None:
    remember(measured(), THIS_MACHINE)
    command = ("run", image_folder, "--output", tmp_path / "out", "--dry-run")
    told = sam_vertex(*command)
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[:2] == ["3 images, 0 with prompts", "estimate: 60 s"]
    plan = json.loads(sam_vertex(*command, "--json").stdout)
    assert (plan["images"], plan["prompted"]) == (3, 0)
    assert plan["estimate"]["seconds"] == 60
    assert not (tmp_path / "out").exists()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "usd", "asked"), [(3599, 4.9, False), (3600, 0, True), (60, 5, True)]
)
def test_hours_and_dollars_are_asked_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, seconds: float, usd: float, asked: bool
) -> None:
    estimated = Estimate(
        seconds=seconds, usd=usd, usd_per_shard_hour=0, usd_per_run=0, basis="measured"
    )
    agree(estimated, yes=False)  # nobody is there to ask
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    agree(estimated, yes=True)
    if asked:
        with pytest.raises(typer.Abort):
            agree(estimated, yes=False)
    else:
        agree(estimated, yes=False)
