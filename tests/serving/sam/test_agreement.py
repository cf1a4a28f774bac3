"""The comparison of the parity tests sees every difference between masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serving.sam.masks import encode_mask
from tests.agreement import compare


def record(left: int, right: int, score: float, point: float = 3.0) -> dict[str, Any]:
    mask = np.zeros((20, 40), bool)
    mask[:, left:right] = True
    return {
        "segmentation": encode_mask(mask),
        "area": int(mask.sum()),
        "bbox": [left, 0, right - left, 19],
        "predicted_iou": score,
        "stability_score": 0.9,
        "point_coords": [[point, point]],
    }


def test_masks_of_the_same_pixels_are_paired_by_score() -> None:
    ours = [record(0, 10, 0.5), record(0, 10, 0.8)]
    agreement = compare(ours, ours[::-1])
    assert agreement.is_whole
    assert agreement.score_difference == 0


@pytest.mark.parametrize(
    "other",
    [
        pytest.param([], id="missing"),
        pytest.param([record(0, 10, 0.5), record(0, 10, 0.5)], id="extra"),
        pytest.param([record(0, 12, 0.5)], id="another shape"),
        pytest.param([record(0, 10, 0.5, point=4.0)], id="another point"),
    ],
)
def test_a_mask_without_a_partner_counts(other: list[dict[str, Any]]) -> None:
    assert not compare(other, [record(0, 10, 0.5)]).is_whole


def test_compare_reports_the_differences_of_pairs() -> None:
    agreement = compare([record(0, 10, 0.5)], [record(0, 11, 0.6)], iou=0.9)
    assert agreement.matched == 1
    assert agreement.lowest_iou == pytest.approx(10 / 11)
    assert agreement.score_difference == pytest.approx(0.1)
    assert agreement.box_difference_px == 1
