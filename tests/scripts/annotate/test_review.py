"""Judging the masks of a run, and what later runs make of it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipeline.run.parameters import RunParameters
from tests.conftest import draw_scene
from tests.pipeline.conftest import run_steps
from tests.scripts.annotate.conftest import Serve, Served


@pytest.fixture
def run(tmp_path: Path) -> RunParameters:
    """A finished run over one image."""
    (tmp_path / "images").mkdir()
    Image.fromarray(draw_scene(160, 120)).save(tmp_path / "images" / "a.png")
    run = RunParameters(
        inputs=(str(tmp_path / "images"),), output=str(tmp_path / "out"), points_per_side=4
    )
    run_steps(run)
    return run


@pytest.fixture
def judged(run: RunParameters, serve: Serve) -> tuple[Served, TestClient]:
    """The page over that run."""
    served = serve(Path(run.inputs[0]), Path(run.output))
    base = served.address.rstrip("/")
    return served, TestClient(served.app, base_url=base, headers={"Origin": base})


def coco(run: RunParameters) -> list[dict[str, Any]]:
    content = json.loads(Path(run.output, "annotations.json").read_text())
    rows: list[dict[str, Any]] = content["annotations"]
    return rows


def numbers(run: RunParameters) -> list[int]:
    """Which masks of the masks files the tables hold."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(Path(run.output, "annotations"))
    return sorted(table.column("mask").to_pylist())


def test_masks_of_a_run_are_there_to_be_judged(judged: tuple[Served, TestClient]) -> None:
    served, client = judged
    objects = client.get("/api/images/0").json()["objects"]
    assert len(objects) >= 2 and not any("verdict" in one for one in objects)
    address = f"/api/images/0/objects/{objects[1]['id']}"
    client.patch(address, json={"verdict": "accept", "category": "ball"})
    client.patch(f"/api/images/0/objects/{objects[0]['id']}", json={"verdict": "reject"})
    rows = served.rows()
    assert [(row["mask"], row["verdict"]) for row in rows] == [(0, "reject"), (1, "accept")]
    assert rows[1]["category"] == "ball"
    assert len({row["fingerprint"] for row in rows}) == 1
    assert [form["category"] for form in served.read("prompts.json")["a.png"]] == ["ball"]


def test_later_runs_keep_what_somebody_reviewed(
    judged: tuple[Served, TestClient], run: RunParameters
) -> None:
    served, client = judged
    before = len(coco(run))
    objects = client.get("/api/images/0").json()["objects"]
    client.patch(f"/api/images/0/objects/{objects[0]['id']}", json={"verdict": "reject"})
    served.stop()
    served.store.close()
    assert len(coco(run)) == before - 1 == len(numbers(run))
    masks = Path(run.output, "masks", "a.png.json").read_bytes()
    summary = run_steps(dataclasses.replace(run, points_per_side=5))
    assert (summary.computed, summary.failed, summary.masks) == (0, 0, before - 1)
    assert Path(run.output, "masks", "a.png.json").read_bytes() == masks
    assert len(coco(run)) == before - 1
    assert numbers(run) == list(range(1, before))


def test_another_image_of_the_name_is_computed_whatever_was_reviewed(
    judged: tuple[Served, TestClient], run: RunParameters
) -> None:
    served, client = judged
    objects = client.get("/api/images/0").json()["objects"]
    client.patch(f"/api/images/0/objects/{objects[0]['id']}", json={"verdict": "reject"})
    served.stop()
    Image.fromarray(draw_scene(96, 96)).save(Path(run.inputs[0], "a.png"))
    assert run_steps(run).computed == 1


def test_a_clicked_image_is_done_for_a_run_over_the_same_output(
    serve: Serve, run: RunParameters, tmp_path: Path
) -> None:
    served = serve(Path(run.inputs[0]), tmp_path / "clicked")
    base = served.address.rstrip("/")
    client = TestClient(served.app, base_url=base, headers={"Origin": base})
    body = {"prompt": {"points": [[40, 50]]}, "category": "apple"}
    assert client.put("/api/images/0/objects/x", json=body).status_code == 200
    served.stop()
    served.store.close()
    summary = run_steps(dataclasses.replace(run, output=str(tmp_path / "clicked")))
    assert (summary.computed, summary.masks) == (0, 1)
    assert (tmp_path / "clicked" / "report.html").exists()
