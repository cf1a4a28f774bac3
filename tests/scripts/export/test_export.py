"""Each format holds every mask, category and score; a killed export goes on where it was."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from scripts.export import exporting
from scripts.export.formats import FORMATS
from scripts.terminal.errors import OperatorError
from serving.storage import open_folder
from tests.scripts.export.outputs import (
    Mask,
    exported,
    hard_masks,
    hard_output,
    record,
    write_image,
    write_photo,
)

Masks = dict[tuple[str, str], Mask]


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("name", ["coco-rle", "coco-polygons"])
def test_coco_gives_every_pixel_back(tmp_path: Path, name: str) -> None:
    masks = hard_output(tmp_path / "out")
    made = exported(tmp_path / "out", name, tmp_path / "to")
    assert (made.images, made.masks, made.parts) == (3, len(masks), 1)
    data = COCO(str(tmp_path / "to" / "annotations.json"))
    found: Masks = {}
    for annotation in data.anns.values():
        image = data.imgs[annotation["image_id"]]
        assert image["coco_url"] == f"gs://bucket/photos/{image['file_name']}"
        assert (annotation["score"], annotation["iscrowd"]) == (0.875, 0)
        category = data.cats[annotation["category_id"]]["name"]
        found[image["file_name"], category] = data.annToMask(annotation).astype(bool)
    assert found.keys() == masks.keys()
    assert all((found[key] == masks[key]).all() for key in masks)
    assert {c["name"]: c["id"] for c in data.cats.values()}["ring"] == 9  # its owner's
    assert len(data.dataset["licenses"]) == 1 and len(data.imgs) == 3


def test_label_studio_tasks_hold_polygons_scores_and_labels(tmp_path: Path) -> None:
    masks = hard_output(tmp_path / "out")
    made = exported(tmp_path / "out", "label-studio", tmp_path / "to", prefix="https://host/")
    assert made.address == "https://host/a.jpg"
    tasks = json.loads((tmp_path / "to" / "tasks.json").read_text())
    found = {}
    for task in tasks:
        name = task["data"]["file_name"]
        assert task["data"]["image"] == f"https://host/{name}"
        (prediction,) = task["predictions"]
        for region in prediction["result"]:
            width, height = region["original_width"], region["original_height"]
            points = np.array(region["value"]["points"]) * (width / 100, height / 100)
            polygon = coco_mask.frPyObjects([points.ravel().tolist()], height, width)
            assert region["score"] == 0.875
            (category,) = region["value"]["polygonlabels"]
            found[name, category] = coco_mask.decode(coco_mask.merge(polygon)).astype(bool)
    assert found.keys() == masks.keys()
    assert min(iou(found[key], masks[key]) for key in masks) >= 0.99
    labels = ET.parse(tmp_path / "to" / "label_config.xml").iter("Label")
    assert {label.get("value") for label in labels} == {category for _, category in masks}


def test_cvat_masks_are_exact(tmp_path: Path) -> None:
    masks = hard_output(tmp_path / "out")
    exported(tmp_path / "out", "cvat", tmp_path / "to")
    root = ET.parse(tmp_path / "to" / "annotations.xml").getroot()
    found = {}
    for image in root.iter("image"):
        for item in image.iter("mask"):
            value = {key: item.get(key, "") for key in ("left", "top", "width", "height")}
            left, top, width, height = (int(number) for number in value.values())
            runs = [int(run) for run in item.get("rle", "").split(", ")]
            box = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
            shape = int(image.get("height", "")), int(image.get("width", ""))
            mask = np.zeros(shape, bool)
            mask[top : top + height, left : left + width] = box
            found[image.get("name", ""), item.get("label", "")] = mask
            assert item.findtext("attribute") == "0.875000"
    assert found.keys() == masks.keys()
    assert all((found[key] == masks[key]).all() for key in masks)
    names = {name.text for name in root.findall("meta/task/labels/label/name")}
    assert names == {category for _, category in masks}


def test_yolo_lines_fill_the_masks(tmp_path: Path) -> None:
    masks = hard_output(tmp_path / "out")
    exported(tmp_path / "out", "yolo", tmp_path / "to")
    names = yaml.safe_load((tmp_path / "to" / "data.yaml").read_text("utf-8"))["names"]
    assert [names[0], names[1]] == ["ring", "Ärger & <Co>"]  # as their owner numbered them
    found = {}
    for image, stem in (("a.jpg", "a"), ("more/b & c.png", "more/b & c")):
        for line in (tmp_path / "to" / "labels" / f"{stem}.txt").read_text().splitlines():
            number, *shares = line.split()
            mask = np.zeros(masks[image, "ring"].shape, np.uint8)
            points = np.array(shares, float).reshape(-1, 2) * mask.shape[::-1]
            cv2.fillPoly(mask, [points.astype(np.int32)], 1)  # as Ultralytics' polygon2mask does
            found[image, names[int(number)]] = mask.astype(bool)
    assert found.keys() == masks.keys()
    assert np.mean([iou(found[key], masks[key]) for key in masks]) >= 0.99
    assert (tmp_path / "to" / "labels" / "none.txt").read_text() == ""


def test_sa1b_has_a_file_for_each_image(tmp_path: Path) -> None:
    masks = hard_output(tmp_path / "out")
    exported(tmp_path / "out", "sa1b", tmp_path / "to")
    content = json.loads((tmp_path / "to" / "more" / "b & c.json").read_text())
    assert content["image"]["file_name"] == "more/b & c.png"
    for annotation in content["annotations"]:
        mask = coco_mask.decode(annotation["segmentation"]).astype(bool)
        assert (mask == masks["more/b & c.png", annotation["category"]]).all()
    assert {"predicted_iou", "stability_score", "crop_box"} <= set(content["annotations"][0])


def test_parquet_rows_hold_every_mask(tmp_path: Path) -> None:
    masks = hard_output(tmp_path / "out")
    exported(tmp_path / "out", "parquet", tmp_path / "to")
    rows = pq.read_table(tmp_path / "to" / "part.parquet").to_pylist()
    assert len(rows) == len(masks)
    for row in rows:
        rle = {"size": [row["height"], row["width"]], "counts": row["rle"]}
        assert (coco_mask.decode(rle) == masks[row["image"], row["category"]]).all()
        assert row["uri"] == f"gs://bucket/photos/{row['image']}"
        assert (row["predicted_iou"], len(row["bbox"])) == (0.875, 4)


def test_geojson_polygons_have_holes_and_the_reference_system(tmp_path: Path) -> None:
    ring = hard_masks()["ring"]
    reference = {"transform": [0.5, 0, 1000, 0, -0.5, 9000], "crs": "urn:ogc:def:crs:EPSG::32633"}
    write_image(tmp_path / "out", "a.tif", [record(ring)], georeference=reference)
    exported(tmp_path / "out", "geojson", tmp_path / "to")
    content = json.loads((tmp_path / "to" / "masks.geojson").read_text())
    assert content["crs"]["properties"]["name"] == reference["crs"]
    (feature,) = content["features"]
    ((outer, hole),) = feature["geometry"]["coordinates"]
    assert outer[0] == outer[-1] and hole[0] == hole[-1]
    signed = [_signed_area(line) for line in (outer, hole)]
    assert signed[0] > 0 > signed[1]  # counterclockwise outside, clockwise inside
    assert sum(signed) == pytest.approx(ring.sum() * 0.25)  # metres: half of one a pixel
    assert max(y for _, y in outer) < 9000 and min(x for x, _ in outer) > 1000
    other = {**reference, "crs": "urn:ogc:def:crs:EPSG::32634"}
    write_image(tmp_path / "out", "b.tif", [record(ring)], georeference=other)
    with pytest.raises(OperatorError, match=r"b.tif: its reference system is .*32634"):
        exported(tmp_path / "out", "geojson", tmp_path / "to")


def _signed_area(line: list[list[float]]) -> float:
    x, y = np.array(line[:-1]).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def test_rejected_masks_are_left_out_and_only_accepted_ones_are_reviewed(tmp_path: Path) -> None:
    ring = hard_masks()["ring"]
    verdicts = [record(ring, verdict=v) for v in ("accept", "reject")]
    write_image(tmp_path / "out", "a.png", [*verdicts, record(ring)])
    assert exported(tmp_path / "out", "coco-rle", tmp_path / "all").masks == 2
    assert exported(tmp_path / "out", "label-studio", tmp_path / "to", reviewed=True).masks == 1
    (task,) = json.loads((tmp_path / "to" / "tasks.json").read_text())
    assert "predictions" not in task and len(task["annotations"][0]["result"]) == 1
    write_image(tmp_path / "out", "a.png", [record(ring)])
    with pytest.raises(OperatorError, match="nobody has accepted a mask"):
        exported(tmp_path / "out", "coco-rle", tmp_path / "none", reviewed=True)


def test_what_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(OperatorError, match="no masks/"):
        exported(tmp_path / "empty", "coco-rle", tmp_path / "to")
    for name in ("a.png", "a.jpg"):
        write_image(tmp_path / "out", name, [])
    with pytest.raises(OperatorError, match=r"a.jpg and a.png have one name without their suffix"):
        exported(tmp_path / "out", "yolo", tmp_path / "to")
    assert exported(tmp_path / "out", "coco-rle", tmp_path / "to").images == 2


def test_damaged_masks_file_is_named(tmp_path: Path) -> None:
    write_image(tmp_path / "out", "a.png", [])
    for content in ("", "[]", '{"masks": [1]}', '{"masks": []}'):
        (tmp_path / "out" / "masks" / "b.json").write_text(content)
        with pytest.raises(OperatorError, match=r"masks/b.json: no masks file of a run"):
            exported(tmp_path / "out", "coco-rle", tmp_path / "to")


@pytest.mark.parametrize("name", list(FORMATS))
def test_empty_mask_ends_no_export(tmp_path: Path, name: str) -> None:
    """A prompt may find nothing; where a format has no form of that, the mask is not in it."""
    write_photo(tmp_path / "photo.png")
    empty = record(np.zeros((120, 160), bool), bbox=[0.0, 0.0, 0.0, 0.0])
    about = {"source": str(tmp_path / "photo.png"), "digest": ""}
    write_image(tmp_path / "out", "a.png", [empty, record(hard_masks()["ring"])], **about)
    exported(tmp_path / "out", name, tmp_path / "to")
    if name == "coco-polygons":
        data = COCO(str(tmp_path / "to" / "annotations.json"))
        assert [data.annToMask(item).sum() for item in data.anns.values()] == [
            hard_masks()["ring"].sum()
        ]


@pytest.mark.parametrize("place", ["", "masks", "overlays/x", "annotations", "../out/segments"])
def test_export_lies_beside_the_runs_own_files(tmp_path: Path, place: str) -> None:
    output = open_folder(str(tmp_path / "out"))
    with pytest.raises(OperatorError, match="among the run's own files"):
        exporting.open_target(output, "parquet", str(tmp_path / "out" / place))
    assert exporting.open_target(output, "yolo", str(tmp_path / "out2")).uri.endswith("out2")
    assert exporting.open_target(output, "yolo", "").uri.endswith("out/exports/yolo")
