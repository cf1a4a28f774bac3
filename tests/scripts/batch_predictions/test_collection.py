"""Results become a run's output: in the order of prompts, in flat memory, whatever is missing."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.run.input_images import InputImage
from pipeline.run.manifest import PlannedImage
from pipeline.steps.plan_shards import planned_image
from scripts.batch_predictions.collection import (
    NO_RESULT,
    ImageWriter,
    merge_records,
    write_images,
)
from scripts.batch_predictions.input_lines import Line, input_lines, line_key
from scripts.terminal.errors import OperatorError
from serving.sam.masks import encode_mask
from serving.sam.prompts import Prompt
from serving.storage import open_folder

POINTS = tuple(Prompt(points=((float(x), 1.0),), labels=(1,)) for x in range(3))


def prediction(*areas: int) -> dict[str, Any]:
    """An answer with a mask of each area, and one candidate a prompt."""
    masks = []
    for area in areas:
        mask = np.zeros((4, 4), bool)
        mask.flat[:area] = True
        masks.append([encode_mask(mask)])
    return {"masks": masks, "scores": [[0.9]] * len(areas)}


def test_masks_come_back_in_the_order_of_the_prompts() -> None:
    records = merge_records([((0, 2), prediction(1, 3)), ((1,), prediction(2))], POINTS)
    assert [record["area"] for record in records] == [1, 2, 3]
    assert records[1]["point_coords"] == [[1.0, 1.0]]


def test_error_and_foreign_forms_are_refused() -> None:
    with pytest.raises(OperatorError, match="too large"):
        merge_records([((0,), {"error": {"message": "too large"}})], POINTS)
    forms: list[dict[str, Any]] = [
        {}, {"masks": 1, "scores": 2}, {"masks": [], "scores": []}, {"error": "text"},
    ]  # fmt: skip
    for strange in forms:
        with pytest.raises(OperatorError, match="not of our server's form"):
            merge_records([((0,), strange)], POINTS)


class Batch:
    """Images of four by four pixels, their plan and their lines."""

    def __init__(self, folder: Path, count: int, prompts: tuple[Prompt, ...] = ()) -> None:
        (folder / "in").mkdir()
        opened, job = open_folder(str(folder / "in")), open_folder(str(folder / "job"))
        pixels = np.zeros((4, 4, 3), np.uint8)
        self.planned: list[PlannedImage] = []
        self.lines: list[Line] = []
        for number in range(count):
            name = f"{number:05d}.png"
            Image.fromarray(pixels).save(folder / "in" / name)
            image = InputImage(name=name, folder=opened, file=name, prompts=prompts)
            self.planned.append(planned_image(image, {}))
            self.lines += input_lines(image, job, [])
        self.writer = ImageWriter(
            output=open_folder(str(folder / "out")),
            model={"name": "m", "sha256": "s"}, max_masks=1, automatic={},
        )  # fmt: skip


def test_image_is_written_when_all_its_lines_have_come(tmp_path: Path) -> None:
    """The lines of two images come mixed, one image's never whole."""
    box = Prompt(box_xyxy=(0.0, 0.0, 3.0, 3.0))
    batch = Batch(tmp_path, 2, (POINTS[0], box))
    keys = [line_key(line.instance) for line in batch.lines]
    results = [
        (keys[1], prediction(4)),
        (keys[3], prediction(8)),
        (keys[1], prediction(4)),  # the service tried twice
        ("unknown", prediction(1)),
        (keys[2], prediction(3)),
    ]
    rows = write_images(batch.writer, batch.planned, batch.lines, results, {"00000.png": "why"})
    assert [(row.status, row.reason, row.masks) for row in rows] == [
        ("failed", "why", 0), ("done", "", 2),
    ]  # fmt: skip
    assert not (tmp_path / "out" / "masks" / "00000.png.json").exists()
    assert NO_RESULT == write_images(batch.writer, batch.planned, batch.lines, (), {})[0].reason


def test_memory_does_not_grow_with_the_results(tmp_path: Path) -> None:
    """60 results of a megabyte each."""
    batch = Batch(tmp_path, 60)
    keys = [line_key(line.instance) for line in batch.lines]

    def results() -> Iterator[tuple[str, dict[str, Any]]]:
        for key in keys:
            yield key, {"masks": [], "padding": "x" * 1_000_000}

    tracemalloc.start()
    try:
        rows = write_images(batch.writer, batch.planned, batch.lines, results(), {})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row.status for row in rows] == ["done"] * 60
    assert peak < 10_000_000
