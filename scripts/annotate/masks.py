"""Masks that the page sends: run-length encodings, and strokes of a brush."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.annotate.errors import AnnotateError
from serving.sam.masks import Rle
from serving.sam.prompts import parse_points

_MOST_STROKES = 2000
_MOST_RADIUS = 10_000.0
_SUBPIXEL_BITS = 3  # of OpenCV's coordinates
_ASCII_ZERO = 48


class Stroke(NamedTuple):
    """One movement of the brush.

    Attributes:
        mode: ``add`` paints, ``remove`` erases.
        radius: in pixels of the image.
        points: (x, y) in pixels, at least one.
    """

    mode: Literal["add", "remove"]
    radius: float
    points: tuple[tuple[float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """The stroke as the page sends it."""
        return {"mode": self.mode, "radius": self.radius, "points": [list(p) for p in self.points]}


def parse_strokes(value: Any) -> tuple[Stroke, ...]:
    """Return the strokes of a request.

    Raises:
        AnnotateError, PromptError: not a list of ``{"mode", "radius", "points"}``.
    """
    if not isinstance(value, list) or len(value) > _MOST_STROKES:
        raise AnnotateError(f"strokes: expected a list of at most {_MOST_STROKES}")
    strokes = []
    for number, item in enumerate(value):
        field = f"strokes[{number}]"
        if not isinstance(item, dict) or item.get("mode") not in ("add", "remove"):
            raise AnnotateError(f'{field}: expected {{"mode": "add" or "remove", ...}}')
        radius = item.get("radius")
        if isinstance(radius, bool) or not isinstance(radius, int | float):
            raise AnnotateError(f"{field}.radius: expected a number of pixels")
        if not 0 < radius <= _MOST_RADIUS:
            raise AnnotateError(f"{field}.radius: expected up to {_MOST_RADIUS:g}, got {radius}")
        points = parse_points(item.get("points"), f"{field}.points")
        strokes.append(Stroke(item["mode"], float(radius), points))
    return tuple(strokes)


def paint(mask: NDArray[np.bool_], strokes: Sequence[Stroke]) -> NDArray[np.bool_]:
    """Return a mask with strokes painted on it and erased from it, in order.

    Args:
        mask: (H, W) bool; it stays as it is.
        strokes: in pixels of the mask.
    """
    canvas = mask.astype(np.uint8, order="C")
    scale = 1 << _SUBPIXEL_BITS
    for stroke in strokes:
        value = 1 if stroke.mode == "add" else 0
        # A pixel's centre is at .5 in the page's frame, and at .0 in OpenCV's.
        path = np.rint((np.array(stroke.points) - 0.5) * scale).astype(np.int32)
        radius = max(round(stroke.radius * scale), scale // 2)
        for x, y in path.tolist():
            cv2.circle(canvas, (x, y), radius, (value,), -1, cv2.LINE_8, _SUBPIXEL_BITS)
        thickness = max(round(2 * stroke.radius), 1)
        cv2.polylines(canvas, [path], False, (value,), thickness, cv2.LINE_8, _SUBPIXEL_BITS)
    return canvas.astype(np.bool_)


def checked_rle(value: Any, height: int, width: int) -> Rle:
    """Return a run-length encoding that came from outside, once its runs fill the image.

    ``pycocotools`` decodes without looking, so runs that lead outside would write there.

    Raises:
        AnnotateError: another structure or size, or runs that do not add up to the image.
    """
    if not isinstance(value, dict) or value.get("size") != [height, width]:
        raise AnnotateError(f"segmentation.size: expected [{height}, {width}]")
    counts = value.get("counts")
    if not isinstance(counts, str) or not counts.isascii():
        raise AnnotateError("segmentation.counts: expected the compressed runs as ASCII")
    runs = _runs(counts)
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise AnnotateError(f"segmentation.counts: the runs do not add up to {height} x {width}")
    return {"size": [height, width], "counts": counts}


def _runs(counts: str) -> list[int]:
    """The runs of COCO's compressed form (``rleFrString`` of ``pycocotools/common/maskApi.c``).

    Each number is written in groups of five bits, lowest first; from the third on it is the
    difference to the number two before.
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = ord(character) - _ASCII_ZERO
        if not 0 <= bits < 64 or shift > 60:
            raise AnnotateError("segmentation.counts: not COCO's compressed form")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise AnnotateError("segmentation.counts: the last number is cut off")
    return runs
