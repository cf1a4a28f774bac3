"""The official code beside the engine: seconds of each, and whether their masks agree."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pycocotools import mask as coco_mask

from serving.sam import AutomaticSettings, Engine, Prompt, load_checkpoint
from serving.sam.images import RgbImage
from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

T = TypeVar("T")


def compare_with_official(
    checkpoint: str | Path, image: RgbImage, prompt: Prompt, settings: AutomaticSettings
) -> list[dict[str, Any]]:
    """Time ``segment_anything`` and the engine on one image, in turn, and compare their masks.

    One run of each, so a busy machine shows in the figures; ``make bench`` measures properly.

    Args:
        checkpoint: a file, or ``vit_tiny``.
        image: (H, W, 3) uint8 RGB.
        prompt: points in its pixels.
        settings: of the masks without a prompt.

    Returns:
        A row a step: seconds of both sides, how much faster the engine was, and the agreement.
    """
    ensure_torchvision_ops()
    from segment_anything import SamAutomaticMaskGenerator, SamPredictor

    engine = Engine.load(checkpoint)
    sam = load_checkpoint(checkpoint).sam.to(engine.device)
    predictor, thresholds = SamPredictor(sam), dataclasses.asdict(settings)
    points, labels = np.array(prompt.points), np.array(prompt.labels)
    official_embed, _ = _timed(lambda: predictor.set_image(image))
    our_embed, embedding = _timed(lambda: engine.embed(image))
    official_click, (masks, _, _) = _timed(
        lambda: predictor.predict(points, labels, multimask_output=True)
    )
    our_click, prediction = _timed(lambda: engine.predict(embedding, prompt, multimask_output=True))
    generator = SamAutomaticMaskGenerator(sam, output_mode="coco_rle", **thresholds)
    official_all, theirs = _timed(lambda: generator.generate(image))
    our_all, ours = _timed(lambda: engine.generate(image, settings))
    return [
        _row("embed the image", official_embed, our_embed, ""),
        _row(
            "one click",
            official_click,
            our_click,
            f"{(masks == prediction.masks).mean():.2%} of pixels",
        ),
        _row(
            "everything", official_all, our_all, f"{_partners(theirs, ours)} of {len(theirs)} masks"
        ),
    ]


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    result = call()
    return time.perf_counter() - begun, result


def _partners(official: list[Any], ours: list[Any]) -> int:
    """How many official masks have one of ours with an IoU of at least 0.99."""
    if not official or not ours:
        return 0
    theirs, mine = ([record["segmentation"] for record in side] for side in (official, ours))
    overlap = coco_mask.iou(theirs, mine, [0] * len(mine))
    return int((overlap.max(axis=1) >= 0.99).sum())


def _row(step: str, official: float, ours: float, agreement: str) -> dict[str, Any]:
    return {
        "step": step,
        "official (s)": official,
        "here (s)": ours,
        "times faster": official / ours,
        "same": agreement,
    }
