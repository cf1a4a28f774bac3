"""Run every network before the first request: to check its precision, to warm up, to measure."""

from __future__ import annotations

import dataclasses
import time

import numpy as np

from serving.sam.engine import Engine
from serving.sam.precision_check import settle_precision
from serving.sam.prompts import Prompt
from serving.timing import WorkTimes


def warm_up(engine: Engine) -> WorkTimes:
    """Run every network of an engine and return how long the last run took.

    Raises:
        NotFiniteError: the network computes NaN or infinity.
    """
    image = np.full((256, 256, 3), 127, np.uint8)
    image[64:192, 64:192] = 220
    prompt = Prompt(points=((128.0, 128.0),), labels=(1,))
    settle_precision(engine, image, prompt)
    grid = dataclasses.replace(
        engine.checkpoint.automatic,
        points_per_side=8,
        point_grids=None,
        pred_iou_thresh=0.0,
        stability_score_thresh=0.0,
    )
    times = WorkTimes()
    for _ in range(2):  # the first run is slower than any that follows
        times = WorkTimes()
        begun = time.monotonic()
        embedding = engine.embed(image)
        embedded = time.monotonic()
        engine.predict(embedding, prompt, multimask_output=True)
        prompted = time.monotonic()
        engine.generate(image, grid)
        times.observe("embedding", embedded - begun)
        times.observe("prompt", prompted - embedded)
        grid_seconds = time.monotonic() - prompted - (embedded - begun)
        times.observe("point", max(grid_seconds, 1e-6), 64)
    return times
