"""Candidate masks: rid of duplicates and small regions, written as records.

The rules and their order are those of ``segment_anything.utils.amg`` 1.0.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.candidates.measurement import Box
from serving.sam.masks import MaskRecord, Rle, decode_mask, encode_mask, mask_area

NEAR_EDGE_PX = 20.0  # as the official ``is_box_near_crop_edge``


@dataclasses.dataclass(slots=True)
class CandidateMask:
    """One mask that passed the thresholds, in the frame of the whole image.

    Attributes:
        segmentation: the mask.
        box_xyxy: of its pixels; the last row and column are inside, as the official code counts.
        score: predicted IoU.
        stability: stability score.
        point_xy: the prompt.
        crop_xyxy: the crop that it comes from.
    """

    segmentation: Rle
    box_xyxy: Box
    score: float
    stability: float
    point_xy: tuple[float, float]
    crop_xyxy: Box


def is_near_crop_edge(box: Box, crop: Box, size_hw: tuple[int, int]) -> bool:
    """Whether a box (in the crop's frame) ends at a crop's edge that is no edge of the image."""
    left, top = crop[:2]
    in_image = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
    whole = (0, 0, size_hw[1], size_hw[0])
    return any(
        abs(value - edge) <= NEAR_EDGE_PX and not abs(value - end) <= NEAR_EDGE_PX
        for value, edge, end in zip(in_image, crop, whole, strict=True)
    )


def without_duplicates(boxes: list[Box], scores: list[float], threshold: float) -> list[int]:
    """Numbers of the boxes to keep, best first: of two that overlap more (IoU), the better."""
    from torchvision.ops.boxes import batched_nms

    if not boxes:
        return []
    corners = torch.tensor(boxes, dtype=torch.float32)
    values = torch.tensor(scores, dtype=torch.float32)
    return [int(n) for n in batched_nms(corners, values, torch.zeros(len(boxes)), threshold)]


def without_small_regions(
    candidates: list[CandidateMask], settings: AutomaticSettings
) -> list[CandidateMask]:
    """Remove small holes and islands; of duplicates keep a mask that needed no change."""
    from segment_anything.utils.amg import remove_small_regions

    cleaned, scores = [], []
    for mask in candidates:
        bitmap = decode_mask(mask.segmentation)
        bitmap, holes = remove_small_regions(bitmap, settings.min_mask_region_area, mode="holes")
        bitmap, islands = remove_small_regions(
            bitmap, settings.min_mask_region_area, mode="islands"
        )
        unchanged = not holes and not islands
        scores.append(float(unchanged))
        if not unchanged:
            mask = dataclasses.replace(
                mask, segmentation=encode_mask(bitmap), box_xyxy=_box_of(bitmap)
            )
        cleaned.append(mask)
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    best = without_duplicates([mask.box_xyxy for mask in cleaned], scores, threshold)
    return [cleaned[number] for number in best]


def _box_of(bitmap: NDArray[np.bool_]) -> Box:
    rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def to_record(mask: CandidateMask) -> MaskRecord:
    """The candidate as the record that callers get."""
    x0, y0, x1, y1 = mask.box_xyxy
    crop = mask.crop_xyxy
    return MaskRecord(
        segmentation=mask.segmentation,
        area=mask_area(mask.segmentation),
        bbox=[x0, y0, x1 - x0, y1 - y0],
        predicted_iou=mask.score,
        point_coords=[list(mask.point_xy)],
        stability_score=mask.stability,
        crop_box=[crop[0], crop[1], crop[2] - crop[0], crop[3] - crop[1]],
    )
