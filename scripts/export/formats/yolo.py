"""YOLO's segments: a text file of polygons for each image, and ``data.yaml``.

Each line is ``class x1 y1 x2 y2 ...`` in shares of the image
(https://docs.ultralytics.com/datasets/segment/, "Ultralytics YOLO format").
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import yaml

from pipeline.ordered_map import ordered_map
from scripts.export.part import Part
from scripts.export.rings import centre_outline
from scripts.export.source import ExportedImage
from serving.sam.masks import decode_mask


def write_yolo(part: Part, images: Iterator[ExportedImage]) -> None:
    """Labels in ``labels/``, for images in ``images/`` beside it, and the names of the classes."""

    def upload(file: tuple[str, str]) -> None:
        part.write(file[0], file[1].encode(), "text/plain")

    for _ in ordered_map(upload, _files(part, images), part.target.readers):
        pass
    names = {i: item["name"] for i, item in enumerate(part.numbering.categories)}
    splits = {
        use: f"images/{folder}"
        for use, folder in (("train", "train"), ("val", "val"), ("val", "valid"), ("test", "test"))
        if folder in part.folders
    }
    data = {"train": "images", "val": "images"} | splits | {"names": names}
    text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    part.target.write_bytes("data.yaml", text.encode(), "text/yaml")


def _files(part: Part, images: Iterator[ExportedImage]) -> Iterator[tuple[str, str]]:
    for image in images:
        part.numbering.next_image()
        lines = []
        for record in image.masks:
            mask = decode_mask(record["segmentation"])
            if not mask.any():
                continue
            part.numbering.next_mask()
            # Readers cut shares times size down to whole pixels, so that a pixel's middle is safe.
            shares = (centre_outline(mask) + 0.5) / (image.width, image.height)
            number = part.numbering.category_index(record["category"])
            lines.append(f"{number} " + " ".join(f"{value:.6f}" for value in shares.ravel()))
        name = f"labels/{PurePosixPath(image.name).with_suffix('.txt')}"
        yield name, "".join(f"{line}\n" for line in lines)
