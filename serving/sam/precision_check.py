"""Half precision that agrees with float32 on this machine and with these weights, or none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from serving.sam.errors import NotFiniteError
from serving.sam.prompts import Prompt

if TYPE_CHECKING:
    from serving.sam.engine import Engine
    from serving.sam.images import RgbImage
    from serving.sam.prompted_masks import Prediction

log = logging.getLogger("sam")
# Measured with widened networks on a CPU (docs/speed.md): scores differ by up to 8e-4 and masks
# overlap by 0.95; what is beyond these bounds is broken, not rounded.
LARGEST_SCORE_DIFFERENCE = 0.05
SMALLEST_OVERLAP = 0.8


def small_scene() -> tuple[RgbImage, Prompt]:
    """A light square on grey, 256 pixels a side, and a box around it: what any network segments."""
    image = np.full((256, 256, 3), 127, np.uint8)
    image[64:192, 64:192] = 220
    return image, Prompt(box_xyxy=(60.0, 60.0, 196.0, 196.0))


def settle_precision(engine: Engine, image: RgbImage, prompt: Prompt) -> bool:
    """Compare half precision with float32 on one prompt; compute in float32 where they disagree.

    Args:
        engine: its precision is ``fp32`` afterwards if half precision is no good.
        image: (H, W, 3) uint8 RGB with an object.
        prompt: points at the object.

    Returns:
        Whether the engine keeps the precision that it had.

    Raises:
        NotFiniteError: float32 computes NaN or infinity as well.
    """
    if engine.precision == "fp32":
        engine.predict(engine.embed(image), prompt, multimask_output=True)
        return True
    asked = engine.precision
    try:
        half = engine.predict(engine.embed(image), prompt, multimask_output=True)
    except NotFiniteError as error:
        reason = str(error)
    else:
        reason = ""
    network = engine.exchange_precision("fp32")
    exact = engine.predict(engine.embed(image), prompt, multimask_output=True)
    reason = reason or _difference(half, exact)
    if not reason:
        engine.exchange_precision(asked, network)
        return True
    log.warning("%s is no good here and float32 is used instead: %s", asked, reason)
    return False


def _difference(half: Prediction, exact: Prediction) -> str:
    """How two predictions of one prompt differ; empty where they agree."""
    apart = float(np.abs(half.scores - exact.scores).max())
    if apart > LARGEST_SCORE_DIFFERENCE:
        return f"scores differ by {apart:.3f}"
    best = int(exact.scores.argmax())
    first, second = half.masks[best], exact.masks[best]
    overlap = float((first & second).sum() / max(int((first | second).sum()), 1))
    if overlap < SMALLEST_OVERLAP and (first | second).any():
        return f"the best mask overlaps by {overlap:.2f} only"
    return ""
