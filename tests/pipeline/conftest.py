"""A small run for the tests of the steps and of the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.run.parameters import RunParameters
from pipeline.shard.segmentation import segment_images
from pipeline.steps.plan_shards import plan_shards
from pipeline.steps.write_report import RunSummary, write_report


def changed(run: RunParameters, **changes: object) -> RunParameters:
    """The same run with other parameters."""
    return RunParameters.from_json(json.dumps({**json.loads(run.to_json()), **changes}))


def run_steps(run: RunParameters) -> RunSummary:
    return write_report(run, [segment_images(run, s) for s in plan_shards(run)], "local")


def write_prompts(path: Path) -> str:
    """Prompts of two objects of ``a.png``."""
    path.write_text(json.dumps({"a.png": [{"points": [[50, 60]]}, {"box": [108, 20, 172, 76]}]}))
    return str(path)


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    return write_prompts(tmp_path / "prompts.json")


@pytest.fixture(params=["local", "bucket"])
def run(
    request: pytest.FixtureRequest, image_folder: Path, tmp_path: Path, prompts: str
) -> RunParameters:
    """Three images, one of them with two prompts; output on this machine or in a bucket."""
    output = str(tmp_path / "out")
    if request.param == "bucket":
        bucket: Callable[[str], str] = request.getfixturevalue("bucket")
        output = bucket("runs/1")
    return RunParameters(
        inputs=(str(image_folder),), output=output, prompts=prompts, shards=2, points_per_side=8
    )


@pytest.fixture
def local_run(image_folder: Path, tmp_path: Path, prompts: str) -> RunParameters:
    return RunParameters(
        inputs=(str(image_folder),),
        output=str(tmp_path / "out"),
        prompts=prompts,
        points_per_side=8,
    )
