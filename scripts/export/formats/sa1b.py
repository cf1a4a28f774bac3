"""SA-1B's form: a JSON file for each image (https://github.com/facebookresearch/segment-anything,
README, "Dataset"), with ``category`` beside its keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import orjson

from pipeline.ordered_map import ordered_map
from scripts.export.part import Part
from scripts.export.source import ExportedImage

_KEPT = (
    "segmentation", "bbox", "area", "predicted_iou", "stability_score", "crop_box",
    "point_coords", "category",
)  # fmt: skip


def write_sa1b(part: Part, images: Iterator[ExportedImage]) -> None:
    """A file for each image, named after it."""

    def upload(file: tuple[str, bytes]) -> None:
        part.write(*file, "application/json")

    for _ in ordered_map(upload, _files(part, images), part.target.readers):
        pass


def _files(part: Part, images: Iterator[ExportedImage]) -> Iterator[tuple[str, bytes]]:
    for image in images:
        content = {
            "image": {
                "image_id": part.numbering.next_image(),
                "width": image.width,
                "height": image.height,
                "file_name": image.name,
            },
            "annotations": [
                {"id": part.numbering.next_mask()}
                | {key: record[key] for key in _KEPT if key in record}
                for record in image.masks
            ],
        }
        yield str(PurePosixPath(image.name).with_suffix(".json")), orjson.dumps(content)
