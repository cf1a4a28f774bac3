"""Masks as COCO run-length encodings, and the record that describes one mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

OutputMode = Literal["binary_mask", "uncompressed_rle", "coco_rle"]
UNNAMED = "object"  # the category of a mask that nobody has named
OUTPUT_MODES: tuple[OutputMode, ...] = ("binary_mask", "uncompressed_rle", "coco_rle")


class Rle(TypedDict):
    """A COCO run-length encoding; ``pycocotools.mask.decode`` reads it.

    Attributes:
        size: [height, width] in pixels.
        counts: the compressed runs, column by column, as ASCII.
    """

    size: list[int]
    counts: str


class MaskRecord(TypedDict, total=False):
    """A mask with the keys of ``SamAutomaticMaskGenerator``, and the prompt that it answers.

    Attributes:
        segmentation: the mask.
        area: pixels inside.
        bbox: [x, y, width, height] in pixels, as the official generator measures it.
        predicted_iou: the model's own estimate of the mask's quality, about 0-1.
        point_coords: [[x, y], ...] in pixels: the points that prompted it.
        stability_score: IoU of the mask under two cut-offs of the logits, 0-1; 0 of an empty mask.
        crop_box: [x, y, width, height] of the crop that it comes from.
        prompt: the whole prompt of a caller; automatic masks have none.
        category: what the object is, where somebody said so; see :func:`category_of`.
    """

    segmentation: Rle
    area: int
    bbox: list[float]
    predicted_iou: float
    point_coords: list[list[float]]
    stability_score: float
    crop_box: list[float]
    prompt: dict[str, Any]
    category: str


def category_of(record: Mapping[str, Any]) -> str:
    """What a mask shows: its category, or ``object`` where nobody has named it."""
    return str(record.get("category") or UNNAMED)


def encode_mask(mask: NDArray[np.bool_] | NDArray[np.uint8]) -> Rle:
    """Compress a mask.

    Args:
        mask: (H, W) bool or uint8 0/1.
    """
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(n) for n in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def encode_runs(places: NDArray[np.int64], size_hw: tuple[int, int]) -> Rle:
    """Compress a mask of which only the places are known where it begins and ends.

    Args:
        places: rising pixel numbers, column by column, at which the mask begins, ends, begins ...
        size_hw: of the mask.
    """
    height, width = size_hw
    counts = np.diff(places, prepend=0, append=height * width)
    encoded = coco_mask.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": encoded["counts"].decode("ascii")}


def runs_of_part(bitmap: NDArray[np.bool_], left: int, top: int, height: int) -> NDArray[np.int64]:
    """Where a mask begins and ends in a part of an image, for ``encode_runs``.

    Runs of neighbouring columns that touch are two here: an end that is the next beginning.

    Args:
        bitmap: (columns, rows) of the part: transposed, as runs go down columns.
        left, top: of the part.
        height: of the image.

    Returns:
        Rising pixel numbers of the image, column by column: begins, ends, begins ...
    """
    columns, rows = bitmap.shape
    closed = np.zeros((columns, rows + 1), np.bool_)  # so that no run goes on in the next column
    closed[:, :rows] = bitmap
    flat = closed.ravel()
    places = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if flat.size and flat[0]:
        places = np.insert(places, 0, 0)
    column, row = np.divmod(places, rows + 1)
    return (column + left) * height + row + top


def encode_parts(parts: Sequence[NDArray[np.int64]], size_hw: tuple[int, int]) -> Rle:
    """Compress a mask from its ``runs_of_part``, from left to right; it is empty elsewhere.

    Args:
        parts: of parts side by side.
        size_hw: of the whole mask.
    """
    places = np.concatenate([np.zeros(0, np.int64), *parts])
    touching = np.flatnonzero(places[1:] == places[:-1])
    places = np.delete(places, np.concatenate([touching, touching + 1]))
    if len(places) and places[-1] == size_hw[0] * size_hw[1]:
        places = places[:-1]  # a mask that goes on to the last pixel has no run behind it
    return encode_runs(places, size_hw)


def decode_mask(rle: Rle) -> NDArray[np.bool_]:
    """Return the (H, W) bool mask of an encoding."""
    return np.asarray(coco_mask.decode(rle), dtype=bool)


def in_output_mode(records: Sequence[MaskRecord], output_mode: OutputMode) -> list[Any]:
    """Return records as ``SamAutomaticMaskGenerator`` does in one of its output modes.

    Args:
        records: with COCO run-length encodings.
        output_mode: ``binary_mask`` gives each ``segmentation`` as (H, W) bool, which needs the
            memory of the image for every mask; ``uncompressed_rle`` its runs as whole numbers,
            column by column, beginning outside; ``coco_rle`` changes nothing.
    """
    if output_mode == "coco_rle":
        return list(records)
    convert = decode_mask if output_mode == "binary_mask" else _uncompressed
    return [{**record, "segmentation": convert(record["segmentation"])} for record in records]


def _uncompressed(rle: Rle) -> dict[str, Any]:
    pixels = decode_mask(rle).ravel(order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs = np.diff(edges, prepend=0, append=len(pixels)).tolist()
    return {"size": rle["size"], "counts": [0, *runs] if pixels[0] else runs}


def mask_area(rle: Rle) -> int:
    """Pixels inside the mask."""
    return int(coco_mask.area(rle))


def mask_extent(rle: Rle) -> tuple[int, int, int, int]:
    """The least rectangle around the mask: x0, y0, and x1, y1 behind its last pixels."""
    x, y, width, height = (int(value) for value in coco_mask.toBbox(rle))
    return x, y, x + width, y + height


def mask_box_xywh(mask: NDArray[np.bool_]) -> list[float]:
    """The mask's extent as [x, y, width, height], measured as the official generator does.

    It takes the distance between the outermost pixels, so a single pixel has width 0; an empty
    mask gives four zeros. (``segment_anything.utils.amg.batched_mask_to_box``.)

    Args:
        mask: (H, W) bool.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return [0.0, 0.0, 0.0, 0.0]
    left, top = int(columns[0]), int(rows[0])
    return [float(left), float(top), float(columns[-1] - left), float(rows[-1] - top)]
