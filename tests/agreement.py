"""How far two sets of masks of one image agree: what the parity tests and benchmarks ask."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

# A pixel that lies on a threshold moves a small mask's stability by its share of the mask.
ONE_PIXEL = 1.5
Record = Any  # of the official generator, with its mask as COCO RLE


@dataclasses.dataclass(frozen=True, slots=True)
class Agreement:
    """Masks of a reference, and what became of them.

    Attributes:
        reference, found: how many there are on each side.
        matched: pairs of the same point with at least the IoU that was asked for.
        lowest_iou: of the matched pairs; 1 where there is none.
        score_difference: the largest, of predicted IoU and stability score of a pair; a stability
            that differs by one pixel of the mask counts as equal.
        box_difference_px: the largest, of a side of a pair's boxes.
    """

    reference: int
    found: int
    matched: int
    lowest_iou: float
    score_difference: float
    box_difference_px: float

    @property
    def is_whole(self) -> bool:
        """Whether every mask has its partner, none is missing and none is extra."""
        return self.reference == self.found == self.matched

    def to_json(self) -> dict[str, Any]:
        """All of it, for a results file."""
        return dataclasses.asdict(self)


def compare(
    candidate: Sequence[Record],
    reference: Sequence[Record],
    iou: float = 0.99,
) -> Agreement:
    """Match masks of the same points one to one, best pairs first; two empty ones are alike.

    Of pairs that overlap as much (masks of one point may be the same pixels) the one whose scores
    are nearer goes first.

    Args:
        candidate, reference: records of one image.
        iou: least of a pair.
    """
    overlaps = np.zeros((len(reference), len(candidate)))
    if reference and candidate:
        overlaps = np.asarray(
            coco_mask.iou(
                [record["segmentation"] for record in candidate],
                [record["segmentation"] for record in reference],
                [0] * len(reference),
            )
        ).T
    for row, expected in enumerate(reference):
        for column, record in enumerate(candidate):
            if not np.allclose(record["point_coords"], expected["point_coords"], atol=1e-6):
                overlaps[row, column] = 0
            elif not record["area"] and not expected["area"]:
                overlaps[row, column] = 1
    rated = [[record["predicted_iou"] for record in side] for side in (reference, candidate)]
    distance = np.abs(np.subtract.outer(*rated))
    free_rows, free_columns = set(range(len(reference))), set(range(len(candidate)))
    lowest, scores, boxes, matched = 1.0, 0.0, 0.0, 0
    for pair in np.lexsort((distance.ravel(), -overlaps.ravel())):
        row, column = divmod(int(pair), len(candidate))
        if overlaps[row, column] < iou:
            break
        if row not in free_rows or column not in free_columns:
            continue
        free_rows.remove(row)
        free_columns.remove(column)
        matched += 1
        expected, actual = reference[row], candidate[column]
        lowest = min(lowest, float(overlaps[row, column]))
        for key in ("predicted_iou", "stability_score"):
            difference = abs(expected[key] - actual[key])
            if key == "stability_score" and difference * expected["area"] <= ONE_PIXEL:
                continue
            if np.isfinite(expected[key]) or np.isfinite(actual[key]):
                scores = max(scores, difference)
        sides = np.abs(np.array(expected["bbox"], float) - np.array(actual["bbox"], float))
        boxes = max(boxes, float(sides.max()))
    return Agreement(len(reference), len(candidate), matched, lowest, float(scores), boxes)
