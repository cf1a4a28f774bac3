"""Run every network before the first request: to check its precision, and to warm up."""

from __future__ import annotations

import dataclasses

import numpy as np

from serving.sam.engine import Engine
from serving.sam.precision_check import settle_precision
from serving.sam.prompts import Prompt


def warm_up(engine: Engine) -> None:
    """Run every network of an engine once; the first run is slower than any that follows.

    Raises:
        NotFiniteError: the network computes NaN or infinity.
    """
    image = np.full((256, 256, 3), 127, np.uint8)
    image[64:192, 64:192] = 220
    settle_precision(engine, image, Prompt(points=((128.0, 128.0),), labels=(1,)))
    grid = dataclasses.replace(
        engine.checkpoint.automatic,
        points_per_side=8,
        point_grids=None,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
    )
    engine.generate(image, grid)
