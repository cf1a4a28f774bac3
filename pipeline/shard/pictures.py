"""Masks as pictures: all of them on the image, and each of the best alone."""

from __future__ import annotations

import colorsys
import dataclasses
import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.sam.images import RgbImage
from serving.sam.masks import MaskRecord, decode_mask, mask_extent

OVERLAY_SIDE = 1600
SEGMENT_SIDE = 640
OUTLINE_SIDE = 400
_WHITE, _FOREGROUND, _BACKGROUND = (255, 255, 255), (20, 160, 60), (220, 30, 30)
_PNG_COMPRESSION = 4  # half the time of Pillow's default for 3 % more bytes
_KEPT_BYTES = 128 * 2**20  # ten masks of 12 megapixels
Decoder = Callable[[MaskRecord], NDArray[np.bool_]]


def decode_record(record: MaskRecord) -> NDArray[np.bool_]:
    """The mask of a record, (H, W) bool."""
    return decode_mask(record["segmentation"])


def decode_once(records: Sequence[MaskRecord], most: int) -> Decoder:
    """Decodes the first ``most`` masks once for all pictures of an image, while they fit in memory.

    The masks beyond them are on the overlay only, so nothing is kept of those.
    """
    kept: dict[int, NDArray[np.bool_]] = {}
    several = {id(record) for record in records[:most]}

    def decode(record: MaskRecord) -> NDArray[np.bool_]:
        key = id(record)  # of a record that ``records`` keeps alive
        if key in kept:
            return kept[key]
        mask = decode_record(record)
        if key in several and (len(kept) + 1) * mask.nbytes <= _KEPT_BYTES:  # all of one size
            kept[key] = mask
        return mask

    return decode


def mask_colour(number: int) -> tuple[int, int, int]:
    """The RGB colour of the n-th mask; neighbours in the list are far apart in hue."""
    hue = (number * 0.61803398875 + 0.58) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75 if number % 2 else 0.95, 1.0)
    return int(red * 255), int(green * 255), int(blue * 255)


def fit_inside(image: RgbImage, longest: int) -> RgbImage:
    """Scale an image down, never up, so that its longer side is at most ``longest`` pixels."""
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1.0:
        return image
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


@dataclasses.dataclass(frozen=True, slots=True)
class _Scaled:
    """A mask on a canvas that is smaller than its image, where it is more than background.

    Attributes:
        rows: of the canvas.
        columns: likewise.
        mask: of this part, bool.
    """

    rows: slice
    columns: slice
    mask: NDArray[np.bool_]


def _scale(record: MaskRecord, mask: NDArray[np.bool_], shape: tuple[int, ...]) -> _Scaled:
    """Scale a mask to a canvas of that shape; most masks are small, and so is their work."""
    x0, y0, x1, y1 = mask_extent(record["segmentation"])  # its "bbox" ends a pixel earlier
    rows, full_rows = _meeting(y0, y1, mask.shape[0], shape[0])
    columns, full_columns = _meeting(x0, x1, mask.shape[1], shape[1])
    part = mask[full_rows, full_columns]
    size = (rows.stop - rows.start, columns.stop - columns.start)
    if part.size and part.shape != size:
        # Decoded masks lie column by column; OpenCV would turn them first, which takes as long.
        turned = part.T.view(np.uint8) * np.uint8(255)
        scaled = cv2.resize(turned, size, interpolation=cv2.INTER_AREA)
        part = np.ascontiguousarray(scaled.T > 127)
    return _Scaled(rows, columns, part)


def _meeting(first: int, end: int, full: int, scaled: int) -> tuple[slice, slice]:
    """The least part of a side around [first, end) whose ends are ends of pixels at both scales.

    Args:
        first: in pixels of the full side.
        end: likewise.
        full: pixels of the full side.
        scaled: of the scaled one.

    Returns:
        The part of the scaled side, and that of the full one.
    """
    meetings = math.gcd(full, scaled)
    begin, stop = first * meetings // full, min(-(-end * meetings // full), meetings)
    return (
        slice(begin * scaled // meetings, stop * scaled // meetings),
        slice(begin * full // meetings, stop * full // meetings),
    )


def _contours(scaled: _Scaled) -> Sequence[NDArray[np.int32]]:
    """The outlines of a mask and of its holes, in pixels of the canvas."""
    if not scaled.mask.size:
        return ()
    contours, _ = cv2.findContours(
        scaled.mask.astype(np.uint8),
        cv2.RETR_CCOMP,
        cv2.CHAIN_APPROX_SIMPLE,
        offset=(scaled.columns.start, scaled.rows.start),
    )
    return tuple(contours)


def _draw_mask(
    canvas: RgbImage,
    below: RgbImage,
    scaled: _Scaled,
    colour: tuple[int, int, int],
    share: float,
    width: int,
) -> None:
    """Draw a mask on a canvas.

    Args:
        canvas: receives the mask.
        below: what shines through, of the same size.
        scaled: the mask.
        colour: RGB.
        share: of the colour; the rest is ``below``.
        width: of the outline, in pixels.
    """
    part, under = (picture[scaled.rows, scaled.columns] for picture in (canvas, below))
    mixed = under[scaled.mask] * (1 - share) + np.array(colour) * share
    part[scaled.mask] = mixed.astype(np.uint8)
    cv2.drawContours(canvas, _contours(scaled), -1, colour, width, cv2.LINE_AA)


def draw_overlay(
    image: RgbImage, records: Sequence[MaskRecord], decode: Decoder = decode_record
) -> RgbImage:
    """All masks on the image, the large below the small, each in its own colour with an outline.

    It marks the prompt of each mask that has one.

    Args:
        image: (H, W, 3) uint8 RGB.
        records: masks of the same size.
        decode: how they are decoded.

    Returns:
        (h, w, 3) uint8 RGB, at most 1600 pixels a side.
    """
    canvas = fit_inside(image, OVERLAY_SIDE).copy()
    width = max(1, round(max(canvas.shape[:2]) / 500))
    order = sorted(range(len(records)), key=lambda number: -records[number]["area"])
    for number in order:
        scaled = _scale(records[number], decode(records[number]), canvas.shape)
        _draw_mask(canvas, canvas, scaled, mask_colour(number), 0.5, width)
    for record in records:
        if "prompt" in record:
            _draw_prompt(canvas, record["prompt"], canvas.shape[1] / image.shape[1], width)
    return canvas


def _draw_prompt(canvas: RgbImage, prompt: dict[str, Any], scale: float, width: int) -> None:
    """Mark what the caller pointed at: a box, green points on the object, red ones beside it."""
    if "box" in prompt:
        x0, y0, x1, y1 = (round(value * scale) for value in prompt["box"])
        cv2.rectangle(canvas, (x0, y0), (x1, y1), _WHITE, width + 2)
        cv2.rectangle(canvas, (x0, y0), (x1, y1), _FOREGROUND, width)
    for (x, y), label in zip(prompt.get("points", ()), prompt.get("labels", ()), strict=True):
        centre = (round(x * scale), round(y * scale))
        cv2.circle(canvas, centre, 3 * width + 2, _WHITE, -1, cv2.LINE_AA)
        colour = _FOREGROUND if label else _BACKGROUND
        cv2.circle(canvas, centre, 3 * width, colour, -1, cv2.LINE_AA)


def draw_segments(
    image: RgbImage, records: Sequence[MaskRecord], most: int, decode: Decoder = decode_record
) -> Iterator[RgbImage]:
    """The image itself, then each of the first ``most`` masks alone: tinted, the rest faded.

    Args:
        image: (H, W, 3) uint8 RGB.
        records: masks of the same size, best first.
        most: how many masks to show.
        decode: how they are decoded.

    Yields:
        (h, w, 3) uint8 RGB, at most 640 pixels a side.
    """
    small = fit_inside(image, SEGMENT_SIDE)
    yield small
    grey = small.mean(axis=2, keepdims=True)
    faded = (grey * 0.35 + 255 * 0.62).astype(np.uint8).repeat(3, axis=2)
    width = max(1, round(max(small.shape[:2]) / 250))
    for number, record in enumerate(records[:most]):
        scaled = _scale(record, decode(record), small.shape)
        canvas = faded.copy()
        _draw_mask(canvas, small, scaled, mask_colour(number), 0.28, width)
        yield canvas


def outline_paths(
    image: RgbImage, records: Sequence[MaskRecord], most: int, decode: Decoder = decode_record
) -> tuple[tuple[int, int], list[str]]:
    """The outlines of the first ``most`` masks as SVG paths, for pages that show and hide them.

    Args:
        image: (H, W, 3) uint8 RGB.
        records: masks of the same size, best first.
        most: how many masks.
        decode: how they are decoded.

    Returns:
        (width, height) of the frame in which the paths are, at most 400 a side, and the paths;
        holes follow from the even-odd rule.
    """
    small = fit_inside(image, OUTLINE_SIDE)
    paths = []
    for record in records[:most]:
        pieces = []
        for contour in _contours(_scale(record, decode(record), small.shape)):
            points = cv2.approxPolyDP(contour, 0.8, closed=True)[:, 0]
            if len(points) > 2:
                pieces.append("M" + "L".join(f"{x} {y}" for x, y in points) + "Z")
        paths.append("".join(pieces))
    return (small.shape[1], small.shape[0]), paths


def encode_png(image: RgbImage) -> bytes:
    """The image as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=_PNG_COMPRESSION)
    return buffer.getvalue()


def encode_webp(image: RgbImage, longest: int) -> bytes:
    """The image as a small WebP file, for a page."""
    buffer = io.BytesIO()
    Image.fromarray(fit_inside(image, longest)).save(buffer, "WEBP", quality=76, method=2)
    return buffer.getvalue()
