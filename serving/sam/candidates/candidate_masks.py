"""Candidate masks: measured, drawn, rid of duplicates, written as records.

The rules and their order are those of ``segment_anything.utils.amg`` 1.0.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.candidates.upsampling import Region, Upsampling
from serving.sam.masks import MaskRecord, Rle, decode_mask, encode_mask, mask_area

NEAR_EDGE_PX = 20.0  # as the official ``is_box_near_crop_edge``
Box = tuple[int, int, int, int]  # XYXY
Canvas = NDArray[np.uint8]  # (W, H): transposed, as run lengths go down columns


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


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """A mask at the image's size, without its bitmap, which ``draw`` makes again.

    Attributes:
        box_xyxy: of its pixels, the last inside; zeros for an empty mask, as the official code.
        inner, outer: pixels above the threshold moved up and down.
    """

    box_xyxy: Box
    inner: int
    outer: int

    @property
    def stability(self) -> float:
        """IoU of the mask under the two thresholds, 0-1; 0 where both are empty.

        There the official code has NaN, which JSON cannot hold.
        """
        return self.inner / self.outer if self.outer else 0.0


def measure(
    upsampling: Upsampling,
    logits: torch.Tensor,
    region: Region | None,
    threshold: float,
    offset: float,
    canvas: Canvas | None = None,
) -> Measurement:
    """Measure a mask without keeping its bitmap, in memory that the image's size does not change.

    Args:
        upsampling: to the image's size.
        logits: (h, w) low resolution.
        region: where it can be above ``threshold - offset``; ``None`` for nowhere.
        threshold: of the mask.
        offset: how far the stability score moves the threshold.
        canvas: zeros, on which to draw the mask.
    """
    if region is None:
        return Measurement((0, 0, 0, 0), 0, 0)
    top = region[0]
    inner = outer = 0
    columns: list[NDArray[np.int64]] = []
    rows = np.zeros(region[2] - top, bool)
    for start, strip in upsampling.strips(logits, region):
        values = strip.numpy() if strip.device.type == "cpu" else strip
        inner += _count(values > threshold + offset)
        outer += _count(values > threshold - offset)
        bitmap = _above(strip, threshold)
        filled = np.flatnonzero(bitmap.any(1))
        if len(filled):
            columns.append(filled[[0, -1]] + start)
            rows |= bitmap.any(0)
        if canvas is not None:
            canvas[start : start + len(bitmap), top : region[2]] = bitmap
    if not columns:
        return Measurement((0, 0, 0, 0), inner, outer)
    filled_rows = np.flatnonzero(rows) + top
    box = int(columns[0][0]), int(filled_rows[0]), int(columns[-1][1]), int(filled_rows[-1])
    return Measurement(box, inner, outer)


def _above(strip: torch.Tensor, threshold: float) -> NDArray[np.bool_]:
    """Which pixels are in the mask. On a CPU numpy compares several times faster than PyTorch.

    A GPU compares before it sends: bits are a quarter of the logits.
    """
    if strip.device.type == "cpu":
        return np.asarray(strip.numpy() > threshold)
    return (strip > threshold).cpu().numpy()


def _count(bitmap: NDArray[np.bool_] | torch.Tensor) -> int:
    return int(bitmap.sum()) if isinstance(bitmap, torch.Tensor) else int(np.count_nonzero(bitmap))


def draw(
    upsampling: Upsampling,
    logits: torch.Tensor,
    region: Region | None,
    threshold: float,
    canvas: Canvas,
) -> None:
    """Draw a mask on an empty canvas.

    Args:
        upsampling: to the image's size.
        logits: (h, w) low resolution.
        region: where it can be above the threshold; ``None`` for nowhere.
        threshold: of the mask.
        canvas: zeros.
    """
    if region is None:
        return
    for start, strip in upsampling.strips(logits, region):
        canvas[start : start + len(strip), region[0] : region[2]] = _above(strip, threshold)


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
