"""CVAT's XML for images 1.1, with masks (https://docs.cvat.ai, "CVAT for image").

A mask's ``rle`` counts the pixels of its box row by row, beginning outside the mask.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from scripts.export.part import Part
from scripts.export.source import ExportedImage
from serving.sam.masks import decode_mask

_SCORE = "predicted_iou"
_LABEL = """      <label><name>{}</name><type>mask</type><attributes><attribute>
        <name>predicted_iou</name><mutable>False</mutable><input_type>text</input_type>
        <default_value></default_value><values></values></attribute></attributes></label>
"""


def write_cvat(part: Part, images: Iterator[ExportedImage]) -> None:
    """One file that CVAT imports into a task of these images and labels."""
    with tempfile.TemporaryFile() as body:
        for image in images:
            _write_image(part, body, image)
        body.seek(0)
        with part.file("annotations{}.xml", "application/xml") as file:
            file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
            file.write(b"  <version>1.1</version>\n  <meta><task><labels>\n")
            for category in part.numbering.categories:
                file.write(_LABEL.format(_text(category["name"])).encode())
            file.write(b"  </labels></task></meta>\n")
            while block := body.read(1 << 20):
                file.write(block)
            file.write(b"</annotations>\n")


def _text(value: str) -> str:
    return quoteattr(value, {'"': "&quot;"})[1:-1]


def _write_image(part: Part, body: IO[bytes], image: ExportedImage) -> None:
    number = part.numbering.next_image() - 1  # CVAT counts from 0
    size = f'width="{image.width}" height="{image.height}"'
    lines = [f'  <image id="{number}" name="{_text(image.name)}" {size}>']
    for record in image.masks:
        part.numbering.category_id(record["category"])
        mask = decode_mask(record["segmentation"])
        if not mask.any():
            continue
        part.numbering.next_mask()
        ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
        lines.append(
            f'    <mask label="{_text(record["category"])}" source="auto" occluded="0" '
            f'rle="{", ".join(map(str, _runs(box)))}" left="{xs[0]}" top="{ys[0]}" '
            f'width="{box.shape[1]}" height="{box.shape[0]}" z_order="0">'
            f'<attribute name="{_SCORE}">{record[_SCORE]:.6f}</attribute></mask>'
        )
    body.write("\n".join([*lines, "  </image>\n"]).encode())


def _runs(box: NDArray[np.bool_]) -> list[int]:
    pixels = box.ravel()
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs: list[int] = np.diff(edges, prepend=0, append=len(pixels)).tolist()
    return [0, *runs] if pixels[0] else runs
