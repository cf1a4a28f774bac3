"""Masks while they are sorted out: a bitmap in its region, duplicates, small regions, records.

What is decided here, and in which order, is as in ``segment_anything.utils.amg`` 1.0.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.automatic import AutomaticSettings
from serving.sam.masks import MaskRecord, encode_mask, mask_area
from serving.sam.upsampling import Region

NEAR_EDGE_PX = 20.0  # as the official ``is_box_near_crop_edge``
Box = tuple[int, int, int, int]  # XYXY


@dataclasses.dataclass(slots=True)
class FoundMask:
    """One mask that passed the thresholds, in the frame of the whole image.

    Attributes:
        region: where its bitmap lies.
        bitmap: (bottom - top, right - left) bool.
        box_xyxy: of its pixels; the last row and column are inside, as the official code counts.
        score: predicted IoU.
        stability: stability score.
        point_xy: the prompt.
        crop_xyxy: the crop that it was found in.
    """

    region: Region
    bitmap: NDArray[np.bool_]
    box_xyxy: Box
    score: float
    stability: float
    point_xy: tuple[float, float]
    crop_xyxy: Box

    def full(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """The bitmap of the whole image."""
        canvas = np.zeros(size_hw, bool, order="F")
        top, left, bottom, right = self.region
        canvas[top:bottom, left:right] = self.bitmap
        return canvas


def box_of(bitmap: NDArray[np.bool_], region: Region) -> Box:
    """XYXY of the pixels, the last inside; zeros for an empty mask, as the official code."""
    rows, columns = np.flatnonzero(bitmap.any(1)), np.flatnonzero(bitmap.any(0))
    if not len(rows):
        return 0, 0, 0, 0
    top, left = region[:2]
    return (
        int(columns[0]) + left,
        int(rows[0]) + top,
        int(columns[-1]) + left,
        int(rows[-1]) + top,
    )


def near_edge(box: Box, crop: Box, size_hw: tuple[int, int]) -> bool:
    """Whether a box (in the crop's frame) ends at an edge of the crop that is none of the image."""
    left, top = crop[:2]
    ours = (box[0] + left, box[1] + top, box[2] + left, box[3] + top)
    whole = (0, 0, size_hw[1], size_hw[0])
    return any(
        abs(value - edge) <= NEAR_EDGE_PX and not abs(value - end) <= NEAR_EDGE_PX
        for value, edge, end in zip(ours, crop, whole, strict=True)
    )


def without_duplicates(
    found: list[FoundMask], scores: list[float], threshold: float
) -> list[FoundMask]:
    """Of masks whose boxes overlap more than a threshold (IoU), the one with the best score."""
    from torchvision.ops.boxes import batched_nms

    if not found:
        return []
    boxes = torch.tensor([mask.box_xyxy for mask in found], dtype=torch.float32)
    values = torch.tensor(scores, dtype=torch.float32)
    kept = batched_nms(boxes, values, torch.zeros(len(found)), threshold)
    return [found[int(number)] for number in kept]


def tidied(
    found: list[FoundMask], size_hw: tuple[int, int], settings: AutomaticSettings
) -> list[FoundMask]:
    """Without small holes and islands; masks that needed no change are preferred among alike."""
    from segment_anything.utils.amg import remove_small_regions

    cleaned, scores = [], []
    whole = (0, 0, size_hw[0], size_hw[1])
    for mask in found:
        bitmap = mask.full(size_hw)
        bitmap, holes = remove_small_regions(bitmap, settings.min_mask_region_area, mode="holes")
        bitmap, islands = remove_small_regions(
            bitmap, settings.min_mask_region_area, mode="islands"
        )
        unchanged = not holes and not islands
        scores.append(float(unchanged))
        box = mask.box_xyxy
        if not unchanged:
            box = box_of(bitmap, whole)
        cleaned.append(dataclasses.replace(mask, region=whole, bitmap=bitmap, box_xyxy=box))
    threshold = max(settings.box_nms_thresh, settings.crop_nms_thresh)
    return without_duplicates(cleaned, scores, threshold)


def record_of(mask: FoundMask, size_hw: tuple[int, int]) -> MaskRecord:
    """The record that callers get, with the mask as COCO RLE."""
    segmentation = encode_mask(mask.full(size_hw))
    x0, y0, x1, y1 = mask.box_xyxy
    crop = mask.crop_xyxy
    return MaskRecord(
        segmentation=segmentation,
        area=mask_area(segmentation),
        bbox=[x0, y0, x1 - x0, y1 - y0],
        predicted_iou=mask.score,
        point_coords=[list(mask.point_xy)],
        stability_score=mask.stability,
        crop_box=[crop[0], crop[1], crop[2] - crop[0], crop[3] - crop[1]],
    )
