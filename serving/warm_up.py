"""Run every network before the first request: to check its precision, and to warm up."""

from __future__ import annotations

import dataclasses

from serving.sam.engine import Engine
from serving.sam.precision_check import settle_precision, small_scene


def warm_up(engine: Engine) -> None:
    """Run every network of an engine once; the first run is slower than any that follows.

    Raises:
        NotFiniteError: the network computes NaN or infinity.
    """
    image, prompt = small_scene()
    settle_precision(engine, image, prompt)
    if engine.checkpoint.family.needs_boxes:
        return
    grid = dataclasses.replace(
        engine.checkpoint.automatic,
        points_per_side=8,
        point_grids=None,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
    )
    engine.generate(image, grid)
