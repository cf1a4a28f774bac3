"""Masks as pictures: each cut out of its image, or all of an image in one map of numbers.

In both a mask's place in ``masks/<image>.json`` is its name, so that a review moves no number.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.ordered_map import ordered_map
from scripts.export.originals import OriginalError, read_original
from scripts.export.part import Part
from scripts.export.source import ExportedImage
from scripts.terminal.errors import OperatorError
from serving.sam.masks import decode_mask, mask_area

_PNG = "image/png"
_MOST_LABELS = np.iinfo(np.uint16).max
_CUTOUT = re.compile(r"\d{3,}\.png")


def write_cutouts(part: Part, images: Iterator[ExportedImage]) -> None:
    """``<image>/<number>.png`` for each mask, RGBA, transparent outside, as large as its box."""
    _write(part, images, _write_cutouts)


def write_label_maps(part: Part, images: Iterator[ExportedImage]) -> None:
    """``<image>.png`` for each image, 16 bits of grey: 0 outside, n where ``masks[n - 1]`` is.

    Where masks overlap, the smaller one is above.
    """
    _write(part, images, _write_label_map)


def _write(
    part: Part, images: Iterator[ExportedImage], write: Callable[[Part, ExportedImage], int]
) -> None:
    def masks_of(image: ExportedImage) -> int | OriginalError:
        try:
            return write(part, image)
        except OriginalError as error:
            return error

    for made in ordered_map(masks_of, images, part.target.readers):
        if isinstance(made, OriginalError):
            part.leave_out(str(made))
            continue
        part.numbering.next_image()
        for _ in range(made):
            part.numbering.next_mask()


def _write_cutouts(part: Part, image: ExportedImage) -> int:
    pixels = read_original(image) if image.masks else None
    written = set()
    for record in image.masks:
        mask = decode_mask(record["segmentation"])
        if pixels is None or not mask.any():
            continue
        ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = slice(ys[0], ys[-1] + 1), slice(xs[0], xs[-1] + 1)
        inside = mask[box][:, :, None]
        rgba = np.concatenate([pixels[box] * inside, inside * np.uint8(255)], axis=2)
        name = f"{image.name}/{record['number']:03d}.png"
        part.write(name, _png(rgba), _PNG)
        written.add(name)
    # Those of an earlier export whose masks are gone; an image below a folder of this name stays.
    for file in list(part.target.files(f"{image.name}/", nested=False)):
        if file.name not in written and _CUTOUT.fullmatch(file.name[len(image.name) + 1 :]):
            part.target.delete(file.name)
    return len(written)


def _write_label_map(part: Part, image: ExportedImage) -> int:
    labels = np.zeros((image.height, image.width), np.uint16)
    drawn = 0
    for record in sorted(image.masks, key=_smaller_and_better_last):
        if record["number"] >= _MOST_LABELS:
            raise OperatorError(
                f"{image.name}: mask {record['number'] + 1}; 16 bits number {_MOST_LABELS}",
                hint="choose another format, such as coco-rle",
            )
        mask = decode_mask(record["segmentation"])
        labels[mask] = record["number"] + 1
        drawn += bool(mask.any())
    part.write(f"{image.name}.png", _png(labels), _PNG)
    return drawn


def _smaller_and_better_last(record: dict[str, Any]) -> tuple[int, int]:
    return -mask_area(record["segmentation"]), -int(record["number"])


def _png(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
