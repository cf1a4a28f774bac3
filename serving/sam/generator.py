"""Automatic masks: the official generator's result, computed in a faster order.

Steps and thresholds are those of ``segment_anything.SamAutomaticMaskGenerator`` 1.0. Only
the order differs: it drops candidates that the model itself rates too low before it upscales any
mask, makes masks at the image's size without keeping their bitmaps (``candidates.full_size``), and
encodes last, when the duplicates are gone.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.batches import in_batches, prompts_at_once
from serving.sam.candidates.candidate_masks import (
    CandidateMask,
    is_near_crop_edge,
    to_record,
    without_duplicates,
    without_small_regions,
)
from serving.sam.candidates.full_size import full_size_masks
from serving.sam.candidates.measurement import Box, Measurement
from serving.sam.candidates.upsampling import Upsampling
from serving.sam.errors import ParameterError
from serving.sam.images import RgbImage
from serving.sam.layers.point_tokens import FOREGROUND, NO_POINT
from serving.sam.machine.finite import check_finite
from serving.sam.machine.torchvision_ops import ensure_torchvision_ops
from serving.sam.machine.transfers import upload
from serving.sam.mask_decoder import PreparedImage
from serving.sam.masks import MaskRecord, Rle
from serving.sam.network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Of the stable masks of a crop; beyond, every mask is encoded as soon as it passes.
LOGITS_BYTES = 256 << 20


def generate(
    network: Network,
    image: RgbImage,
    settings: AutomaticSettings,
    before_work: Callable[[], None] = lambda: None,
    on_progress: Callable[[float], None] = lambda _: None,
    shrunk: RgbImage | None = None,
) -> list[MaskRecord]:
    """Masks of everything in an image, best first.

    Args:
        network: the loaded network on its device.
        image: (H, W, 3) uint8 RGB.
        settings: thresholds and grid.
        before_work: called before every crop and every batch of points; what it raises ends the
            work.
        on_progress: called after every batch of points with the share that is done, 0-1.
        shrunk: what the network sees of the whole image, where somebody has made it already.
    """
    ensure_torchvision_ops()
    from segment_anything.utils.amg import build_all_layer_point_grids, generate_crop_boxes

    size_hw = image.shape[0], image.shape[1]
    if settings.point_grids is not None:
        grids = [np.array(grid, dtype=float) for grid in settings.point_grids]
    elif settings.points_per_side is not None:
        grids = build_all_layer_point_grids(
            settings.points_per_side,
            settings.crop_n_layers,
            settings.crop_n_points_downscale_factor,
        )
    else:
        raise ParameterError("give exactly one of points_per_side and point_grids")
    boxes, layers = generate_crop_boxes(
        size_hw, settings.crop_n_layers, settings.crop_overlap_ratio
    )
    candidates: list[CandidateMask] = []
    points = sum(len(grids[layer]) for layer in layers)
    done = 0

    def count(batch: int) -> None:
        nonlocal done
        done += batch
        on_progress(done / points)

    for box, layer in zip(boxes, layers, strict=True):
        crop = (int(box[0]), int(box[1]), int(box[2]), int(box[3]))
        candidates += _masks_of_crop(
            network,
            image,
            crop,
            grids[layer],
            settings,
            before_work,
            count,
            shrunk if layer == 0 else None,  # which is the whole image
        )
    if len(boxes) > 1:
        # Prefer the masks of smaller crops, as the official code does.
        areas = [
            (m.crop_xyxy[2] - m.crop_xyxy[0]) * (m.crop_xyxy[3] - m.crop_xyxy[1])
            for m in candidates
        ]
        best = without_duplicates(
            [mask.box_xyxy for mask in candidates],
            [1 / area for area in areas],
            settings.crop_nms_thresh,
        )
        candidates = [candidates[number] for number in best]
    if settings.min_mask_region_area > 0:
        candidates = without_small_regions(candidates, settings)
    return sorted(map(to_record, candidates), key=lambda record: -record["predicted_iou"])


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _StableMask:
    """A mask of a crop that passed the thresholds; it is encoded only if it is no duplicate.

    Attributes:
        point: its prompt's number.
        score: predicted IoU.
        measurement: in the frame of the crop.
        low: (h, w) logits, or the encoding where too many logits were held already.
    """

    point: int
    score: float
    measurement: Measurement
    low: torch.Tensor | Rle


def _masks_of_crop(
    network: Network,
    image: RgbImage,
    crop: Box,
    grid: NDArray[np.float64],
    settings: AutomaticSettings,
    before_work: Callable[[], None],
    count: Callable[[int], None],
    shrunk: RgbImage | None,
) -> list[CandidateMask]:
    before_work()
    sam = network.sam
    left, top, right, bottom = crop
    part = image[top:bottom, left:right]
    height, width = part.shape[:2]
    features, frame = network.embed(np.ascontiguousarray(part), shrunk)
    cells = 4 * features.shape[-1]
    upsampling = Upsampling.of(
        cells, *frame.first_enlargement(cells), (height, width), features.device
    )
    shared = network.decoder.prepare(features)
    points = grid * np.array([[width, height]])
    # In float64, as the official code.
    kinds = np.tile([FOREGROUND, NO_POINT], (len(points), 1))
    placed = np.stack([frame.place(points), np.zeros_like(points)], axis=1)
    tokens = network.tokens(placed, kinds)

    masks = full_size_masks(upsampling, (left, top), (image.shape[0], image.shape[1]))
    stable: list[_StableMask] = []
    logits_bytes = 0
    decoded = _decoded(network, shared, tokens, upsampling.extent, settings, before_work, count)
    for start, scored in decoded:
        measurements = masks.measure(
            scored.logits, sam.mask_threshold, settings.stability_score_offset
        )
        passing = [
            number
            for number, measurement in enumerate(measurements)
            if measurement.stability >= settings.stability_score_thresh
            and not is_near_crop_edge(measurement.box_xyxy, crop, image.shape[:2])
        ]
        if not passing:
            continue
        # A copy of these alone, for the batch's other logits to be freed.
        logits = scored.logits.index_select(0, upload(torch.tensor(passing), features.device))
        logits_bytes += logits.numel() * logits.element_size()
        low: Sequence[torch.Tensor | Rle] = logits.unbind()
        if logits_bytes > LOGITS_BYTES:
            low = masks.encode(logits.unbind(), sam.mask_threshold)
        stable += [
            _StableMask(start + scored.numbers[n], scored.scores[n], measurements[n], one)
            for n, one in zip(passing, low, strict=True)
        ]
    best = without_duplicates(
        [mask.measurement.box_xyxy for mask in stable],
        [mask.score for mask in stable],
        settings.box_nms_thresh,
    )
    kept = [stable[number] for number in best]
    waiting = [mask.low for mask in kept if isinstance(mask.low, torch.Tensor)]
    encoded = iter(masks.encode(waiting, sam.mask_threshold))
    candidates = []
    for mask in kept:
        x, y = points[mask.point]
        box = mask.measurement.box_xyxy
        candidates.append(
            CandidateMask(
                segmentation=next(encoded) if isinstance(mask.low, torch.Tensor) else mask.low,
                box_xyxy=(box[0] + left, box[1] + top, box[2] + left, box[3] + top),
                score=mask.score,
                stability=mask.measurement.stability,
                point_xy=(float(x) + left, float(y) + top),
                crop_xyxy=crop,
            )
        )
    return candidates


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _ScoredMasks:
    """Low-resolution masks of a batch that the model itself rates high enough.

    Attributes:
        numbers: (K,) the prompt of each, in the batch.
        scores: (K,) predicted IoU.
        logits: (K, h, w) float32.
    """

    numbers: list[int]
    scores: list[float]
    logits: torch.Tensor


def _decoded(
    network: Network,
    shared: PreparedImage,
    tokens: torch.Tensor,
    extent: tuple[int, int],
    settings: AutomaticSettings,
    before_work: Callable[[], None],
    count: Callable[[int], None],
) -> Iterator[tuple[int, _ScoredMasks]]:
    """Decode all points in batches; for each its first point's number and what passed.

    ``count`` is told how many points each batch had.
    """

    def decode(batch: slice) -> _ScoredMasks | None:
        before_work()
        scored = _decode(network, shared, tokens[batch], extent, settings)
        count(len(tokens[batch]))
        return scored

    at_once = prompts_at_once(network.decoder, shared, settings.points_per_batch)
    for start, scored in in_batches(len(tokens), at_once, decode):
        if scored is not None:
            yield start, scored


def _decode(
    network: Network,
    shared: PreparedImage,
    tokens: torch.Tensor,
    extent: tuple[int, int],
    settings: AutomaticSettings,
) -> _ScoredMasks | None:
    decoded = network.decoder.decode(shared, tokens)
    scores = decoded.scores.cpu()  # what a GPU makes next depends on them
    check_finite(scores, "scores")
    passing = scores[:, 1:] > settings.pred_iou_thresh
    if settings.pred_iou_thresh <= 0:
        passing = torch.ones_like(passing)
    selected = passing.nonzero()
    if not len(selected):
        return None
    selected = selected + selected.new_tensor([0, 1])  # the first mask is the single one
    logits = network.decoder.upscale(decoded, selected, extent)
    values = scores[selected[:, 0], selected[:, 1]]
    return _ScoredMasks(selected[:, 0].tolist(), values.tolist(), logits)
