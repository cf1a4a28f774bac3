"""Every parameter of the official generator has the same effect here, mask by mask."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.engine import Engine
from serving.sam.errors import ParameterError
from serving.sam.images import RgbImage
from serving.sam.masks import OUTPUT_MODES, MaskRecord, OutputMode, decode_mask
from tests.serving.sam.official_masks import PARAMETERS, SCENES, Case, assert_official


def assert_same_records(records: list[MaskRecord], official: list[MaskRecord]) -> None:
    """Every mask has its partner (IoU >= 0.99), none is missing or extra; figures agree."""
    assert len(records) == len(official)
    left = list(records)
    for expected in official:
        mask = decode_mask(expected["segmentation"])
        overlaps = []
        for record in left:
            other = decode_mask(record["segmentation"])
            union = (mask | other).sum()
            same_point = record["point_coords"] == expected["point_coords"]
            overlaps.append(((mask & other).sum() / union if union else 1.0) if same_point else 0)
        best = int(np.argmax(overlaps))
        assert overlaps[best] >= 0.99, expected
        record = left.pop(best)
        assert record["crop_box"] == expected["crop_box"]
        np.testing.assert_allclose(record["bbox"], expected["bbox"], atol=1)
        for key in ("predicted_iou", "stability_score"):
            # Of an empty mask the official stability is NaN, ours 0.
            np.testing.assert_allclose(record[key], np.nan_to_num(expected[key]), atol=1e-3)
        assert record["area"] == pytest.approx(expected["area"], rel=0.01)


@pytest.mark.parametrize("case", SCENES, ids=lambda case: case.name)
def test_generate_equals_the_official_generator(engine: Engine, case: Case) -> None:
    """Every parameter of the official generator has the same effect, mask by mask."""
    records = engine.generate(case.draw(), case.settings(engine.checkpoint))
    assert_official(
        case, engine.checkpoint, lambda official: assert_same_records(records, official)
    )
    scores = [record["predicted_iou"] for record in records]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("mode", OUTPUT_MODES)
def test_generate_has_the_official_output_modes(
    engine: Engine, scene: RgbImage, mode: OutputMode
) -> None:
    from segment_anything import SamAutomaticMaskGenerator
    from segment_anything.utils.amg import rle_to_mask

    values = {**engine.checkpoint.automatic.to_json(), **PARAMETERS["loose"]}
    generator = SamAutomaticMaskGenerator(engine.checkpoint.sam, output_mode=mode, **values)
    expected = generator.generate(scene)
    records = engine.generate(scene, AutomaticSettings(**values), output_mode=mode)
    assert len(records) == len(expected) > 2
    for ours, official in zip(records, expected, strict=True):
        assert set(ours) == set(official)
        mask, expected_mask = ours["segmentation"], official["segmentation"]
        assert type(mask) is type(expected_mask)
        if mode == "coco_rle":
            mask, expected_mask = decode_mask(mask), decode_mask(expected_mask)
        elif mode == "uncompressed_rle":
            assert type(mask["counts"]) is type(expected_mask["counts"])
            mask, expected_mask = rle_to_mask(mask), rle_to_mask(expected_mask)
        assert mask.dtype == expected_mask.dtype == bool
        assert (mask != expected_mask).mean() < 1e-4


def test_generate_output_mode_that_does_not_exist_is_refused(
    engine: Engine, scene: RgbImage
) -> None:
    with pytest.raises(ParameterError, match="output_mode: expected one of binary_mask"):
        engine.generate(scene, output_mode="png")  # type: ignore[call-overload]


def test_records_of_empty_masks_are_json(engine: Engine) -> None:
    """The official stability of a mask that is empty under both cut-offs is NaN."""
    everything = dataclasses.replace(
        engine.checkpoint.automatic,
        points_per_side=4,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
    )
    image = np.full((64, 1, 3), 60, np.uint8)
    records = engine.generate(image, everything)
    assert any(record["area"] == 0 for record in records)
    json.dumps(records, allow_nan=False)
    assert all(0 <= record["stability_score"] <= 1 for record in records)


def test_generate_finds_the_three_objects_of_a_plain_scene(engine: Engine, scene: RgbImage) -> None:
    masks = [decode_mask(record["segmentation"]) for record in engine.generate(scene)]
    for colour in ((200, 40, 40), (30, 80, 190), (40, 140, 60)):
        wanted = (scene == colour).all(axis=2)
        best = max(((wanted & m).sum() / (wanted | m).sum() for m in masks), default=0.0)
        assert best > 0.8, colour


def test_generate_says_how_far_it_is(engine: Engine, scene: RgbImage) -> None:
    shares: list[float] = []
    settings = AutomaticSettings(points_per_side=4, points_per_batch=8, crop_n_layers=1)
    engine.generate(scene, settings, on_progress=shares.append)
    assert shares == [done / 80 for done in range(8, 81, 8)]  # 16 points, in each of five crops
