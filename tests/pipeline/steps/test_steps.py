"""The steps as ordinary functions: plan, segment, report; resumed, quarantined, atomic."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pipeline.report import data_set
from pipeline.run.manifest import read_json
from pipeline.run.parameters import RunParameters
from pipeline.run.progress import ProgressReader
from pipeline.shard.segmentation import segment_images
from pipeline.steps.plan_shards import plan_shards
from pipeline.steps.write_report import write_report
from serving.storage import open_folder
from tests.conftest import draw_scene
from tests.pipeline.conftest import run_steps


def test_steps_leave_everything_the_design_names(run: RunParameters, tmp_path: Path) -> None:
    summary = run_steps(run)
    assert (summary.images, summary.failed, summary.computed) == (3, 0, 3)
    output = open_folder(run.output)
    names = {file.name for file in output.files()}
    for image in ("a.png", "b.jpg", "more/c.webp"):
        content = read_json(output, f"masks/{image}.json")
        assert {f"overlays/{image}.png", f"segments/{image}/00.png"} <= names
        shown = [name for name in names if name.startswith(f"segments/{image}/")]
        assert len(shown) == 1 + min(len(content["masks"]), run.max_masks)
    assert {
        "annotations.json",
        "manifest.jsonl",
        "metrics.json",
        "report.md",
        "report.html",
    } <= names
    rows = [json.loads(line) for line in output.read_bytes("manifest.jsonl").splitlines()]
    assert [row["image"] for row in rows] == ["a.png", "b.jpg", "more/c.webp"]
    assert {row["status"] for row in rows} == {"done"}
    assert {row["shard"] for row in rows} == {"shard-0000", "shard-0001"}
    progress = ProgressReader(output).read()
    assert (progress.total, progress.done, progress.failed) == (3, 3, 0)
    assert (progress.masks, progress.part) == (summary.masks, 0)


def test_steps_masks_of_prompts_are_what_was_asked_for(local_run: RunParameters) -> None:
    run_steps(local_run)
    content = read_json(open_folder(local_run.output), "masks/a.png.json")
    assert content["mode"] == "prompted"
    point, box = content["masks"]
    assert point["prompt"] == {"points": [[50.0, 60.0]], "labels": [1]}
    assert box["prompt"] == {"box": [108.0, 20.0, 172.0, 76.0]}
    scene = draw_scene(200, 150)
    for record, colour in ((point, (200, 40, 40)), (box, (30, 80, 190))):
        mask = coco_mask.decode(record["segmentation"]).astype(bool)
        expected = (scene == colour).all(axis=2)
        assert (mask & expected).sum() / (mask | expected).sum() > 0.8


def test_steps_annotations_are_a_coco_data_set_and_a_table(local_run: RunParameters) -> None:
    summary = run_steps(local_run)
    data = COCO(str(Path(local_run.output, "annotations.json")))
    assert len(data.getImgIds()) == 3
    assert len(data.getAnnIds()) == summary.masks > 0
    for annotation in data.loadAnns(data.getAnnIds()):
        image = data.loadImgs(annotation["image_id"])[0]
        mask = data.annToMask(annotation)
        assert mask.shape == (image["height"], image["width"])
        assert mask.sum() == annotation["area"]
        assert annotation["score"] == annotation["predicted_iou"]
        assert image["coco_url"] == f"{local_run.inputs[0]}/{image['file_name']}"
    rows = pq.read_table(Path(local_run.output, "annotations")).to_pylist()
    assert len(rows) == summary.masks
    for row in rows:
        path = Path(local_run.output, "masks", f"{row['image']}.json")
        record = json.loads(path.read_text())["masks"][row["mask"]]
        assert row["rle"] == record["segmentation"]["counts"]
        assert (row["area"], row["bbox"]) == (record["area"], record["bbox"])


def test_steps_categories_of_prompts_are_in_every_output(local_run: RunParameters) -> None:
    objects = [{"points": [[50, 60]], "category": "red | apple"}, {"box": [108, 20, 172, 76]}]
    Path(local_run.prompts).write_text(json.dumps({"a.png": objects}))
    run_steps(local_run)
    output = Path(local_run.output)
    apple, other = json.loads((output / "masks/a.png.json").read_text())["masks"]
    assert (apple["category"], "category" in other) == ("red | apple", False)
    data = COCO(str(output / "annotations.json"))
    names = {number: category["name"] for number, category in data.cats.items()}
    assert sorted(names.values()) == ["object", "red | apple"]
    named = [a for a in data.anns.values() if names[a["category_id"]] == "red | apple"]
    assert [a["segmentation"]["counts"] for a in named] == [apple["segmentation"]["counts"]]
    metrics = json.loads((output / "metrics.json").read_text())
    assert metrics["masks_per_category"]["red | apple"] == 1
    assert sum(metrics["masks_per_category"].values()) == metrics["masks"]
    assert "red \\| apple: " in (output / "report.md").read_text()
    assert '"red | apple"' in (output / "report.html").read_text()


def test_steps_large_data_set_is_in_parts(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the limit there is no COCO file, also not an older one; parts follow from the size."""
    monkeypatch.setattr(data_set, "MOST_PART_BYTES", 1)
    run_steps(local_run)
    tables = Path(local_run.output, "annotations")
    first = [pq.read_table(path).to_pylist()[0]["image"] for path in sorted(tables.iterdir())]
    assert first == ["a.png", "b.jpg", "more/c.webp"]
    monkeypatch.setattr(data_set, "MOST_PART_BYTES", 200_000_000)
    monkeypatch.setattr(data_set, "MOST_COCO_MASKS", 1)
    summary = run_steps(local_run)
    assert not Path(local_run.output, "annotations.json").exists()
    assert json.loads(Path(local_run.output, "metrics.json").read_text())["coco"] == ""
    assert [path.name for path in tables.iterdir()] == ["part-00000.masks.parquet"]
    assert pq.read_metadata(tables / "part-00000.masks.parquet").num_rows == summary.masks


def test_steps_second_run_computes_nothing(local_run: RunParameters) -> None:
    run_steps(local_run)
    masks = sorted(Path(local_run.output, "masks").rglob("*.json"))
    before = [path.stat().st_mtime_ns for path in masks]
    summary = run_steps(local_run)
    assert (summary.images, summary.computed) == (3, 0)
    assert [path.stat().st_mtime_ns for path in masks] == before


@pytest.mark.parametrize("change", ["deleted", "image", "prompt", "setting", "damaged"])
def test_steps_recompute_exactly_what_changed(
    local_run: RunParameters, image_folder: Path, change: str
) -> None:
    run_steps(local_run)
    masks = Path(local_run.output, "masks")
    kept = {path: path.stat().st_mtime_ns for path in masks.rglob("*.json")}
    run, again = local_run, {"a.png"}
    if change == "deleted":
        (masks / "a.png.json").unlink()
    elif change == "damaged":
        (masks / "a.png.json").write_text("{")
    elif change == "image":
        Image.fromarray(draw_scene(210, 150)).save(image_folder / "a.png")
    elif change == "prompt":
        Path(run.prompts).write_text(json.dumps({"a.png": {"1": [[51, 60]]}}))
    else:
        run = RunParameters.from_json(run.to_json().replace('side": 8', 'side": 7'))
        again = {"b.jpg", "more/c.webp"}
    assert run_steps(run).computed == len(again)
    for path, time in kept.items():
        name = path.relative_to(masks).as_posix().removesuffix(".json")
        assert (path.stat().st_mtime_ns != time) == (name in again), name


def test_steps_bad_images_become_failed_rows_with_reasons(
    run: RunParameters, image_folder: Path
) -> None:
    (image_folder / "broken.png").write_bytes(b"no image at all")
    (image_folder / "empty.jpg").write_bytes(b"")
    cut = (image_folder / "b.jpg").read_bytes()
    (image_folder / "cut.jpg").write_bytes(cut[: len(cut) // 2])
    summary = run_steps(run)
    assert (summary.images, summary.failed, summary.too_many_failed) == (6, 3, False)
    output = open_folder(run.output)
    rows = [json.loads(line) for line in output.read_bytes("manifest.jsonl").splitlines()]
    reasons = {row["image"]: row["reason"] for row in rows if row["status"] == "failed"}
    assert "not an image" in reasons["broken.png"]
    assert "empty" in reasons["empty.jpg"]
    assert "cut off" in reasons["cut.jpg"]
    assert read_json(output, "metrics.json")["failed"] == 3
    for report in ("report.md", "report.html"):
        assert "broken.png" in output.read_bytes(report).decode()


def test_steps_image_that_broke_leaves_no_masks_of_its_better_days(
    local_run: RunParameters, image_folder: Path
) -> None:
    run_steps(local_run)
    (image_folder / "b.jpg").write_bytes(b"broken since")
    assert run_steps(local_run).failed == 1
    assert not Path(local_run.output, "masks/b.jpg.json").exists()


def test_steps_unreadable_image_below_the_output_is_a_failed_row(image_folder: Path) -> None:
    """``run photos --output .``: a file that vanishes meanwhile is not the output's fault."""
    run = RunParameters(
        inputs=(str(image_folder),), output=str(image_folder.parent), points_per_side=2
    )
    (shard,) = plan_shards(run)
    (image_folder / "b.jpg").unlink()
    summary = write_report(run, [segment_images(run, shard)], "local")
    assert (summary.failed, summary.computed) == (1, 2)
    assert "b.jpg: cannot be read" in Path(run.output, "manifest.jsonl").read_text()


def test_steps_mended_image_is_computed_by_the_next_run(
    local_run: RunParameters, image_folder: Path
) -> None:
    (image_folder / "late.png").write_bytes(b"")
    assert run_steps(local_run).failed == 1
    Image.fromarray(draw_scene(64, 64)).save(image_folder / "late.png")
    summary = run_steps(local_run)
    assert (summary.failed, summary.computed) == (0, 1)


def test_steps_too_many_failures_are_said(local_run: RunParameters, image_folder: Path) -> None:
    strict = RunParameters.from_json(local_run.to_json().replace('failed": 0.5', 'failed": 0.2'))
    (image_folder / "broken.png").write_bytes(b"")
    assert run_steps(strict).too_many_failed
    assert Path(strict.output, "report.html").exists()


def test_images_with_colliding_and_hidden_names_are_computed_once(tmp_path: Path) -> None:
    """A file and a folder of one name, a letter in two cases, and a name with a dot."""
    files = ("one/a.png", "one/.b.png", "two/a.png/01.png", "two/A.png", "two/x.png")
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_scene(48, 32)).save(path)
    inputs = (tmp_path / "one", tmp_path / "one" / ".b.png", tmp_path / "two", tmp_path / "one")
    run = RunParameters(
        inputs=tuple(map(str, inputs)), output=str(tmp_path / "out"), points_per_side=2
    )
    first, again = run_steps(run), run_steps(run)
    assert (first.images, first.failed, first.computed) == (len(files), 0, len(files))
    assert (again.images, again.failed, again.computed) == (len(files), 0, 0)
    rows = open_folder(run.output).read_bytes("manifest.jsonl").splitlines()
    names = [json.loads(row)["image"] for row in rows]
    assert names == ["_b.png", "a.png", "two-2/a.png/01.png", "two/A.png", "x.png"]
