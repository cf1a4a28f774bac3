"""Masks and logits in the form the client asked for."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.parameters import MaskFormat
from serving.sam.masks import Rle, decode_mask


def mask_in_format(rle: Rle, mask_format: MaskFormat) -> Any:
    """Return a mask as JSON.

    Args:
        rle: the mask.
        mask_format: ``rle`` leaves it; ``polygon`` gives ``[[x, y, x, y, ...], ...]`` outlines;
            ``png`` base64 of a 1-bit PNG; ``array`` (H, W) nested lists of booleans.
    """
    if mask_format == "rle":
        return rle
    mask = decode_mask(rle)
    if mask_format == "polygon":
        return mask_polygons(mask)
    if mask_format == "png":
        return base64.b64encode(mask_png(mask)).decode("ascii")
    return mask.tolist()


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A (H, W) mask as a 1-bit PNG, white inside."""
    packed = io.BytesIO()
    Image.fromarray(mask).save(packed, "PNG", optimize=False)
    return packed.getvalue()


def mask_polygons(mask: NDArray[np.bool_]) -> list[list[float]]:
    """The outer outlines of a mask in COCO's form, along the edges of its pixels.

    Each is [x0, y0, x1, y1, ...] in pixels, where pixel (0, 0) covers 0-1. This form has no holes,
    so they are filled; ``rle`` and ``png`` are exact.
    """
    import cv2

    # Three times as large, the outermost pixels' centres lie a sixth of a pixel inside their
    # edges, so that rounding finds the edges themselves, also of what is one pixel wide.
    large = np.repeat(np.repeat(mask.astype(np.uint8), 3, axis=0), 3, axis=1)
    outlines, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = []
    for outline in outlines:
        corners = np.rint((outline[:, 0, :] + 0.5) / 3)
        keep = np.any(corners != np.roll(corners, 1, axis=0), axis=1)
        polygons.append(corners[keep].astype(float).ravel().tolist())
    return polygons


def compact_logits(logits: NDArray[np.float32]) -> dict[str, Any]:
    """Logits of one mask as JSON that may be sent back as ``mask_input``.

    Half precision: the rounding, at most 0.016 of logits that reach about 32, moves no edge that a
    score would notice.

    Args:
        logits: (S, S) float32.

    Returns:
        ``dtype`` "float16", ``shape`` [1, S, S], ``data`` base64 of the values, little-endian, row
        by row.
    """
    values = np.clip(logits, -65504, 65504).astype("<f2")
    return {
        "dtype": "float16",
        "shape": [1, *values.shape],
        "data": base64.b64encode(values.tobytes()).decode("ascii"),
    }


def logits_in_format(logits: NDArray[np.float32], mask_format: MaskFormat) -> Any:
    """Logits of one mask: nested lists with ``array``, else compact."""
    return logits.tolist() if mask_format == "array" else compact_logits(logits)
