"""COCO data sets (https://cocodataset.org/#format-data), with the masks as RLE or as polygons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson

from scripts.export.part import Part
from scripts.export.rings import exact_pieces, joined
from scripts.export.source import ExportedImage
from serving.sam.masks import decode_mask

_KEPT = ("area", "bbox", "predicted_iou", "stability_score", "point_coords", "prompt")
_LICENSES = [
    {
        "id": 1,
        "name": "see the owner of the images; the masks carry no licence of their own",
        "url": "",
    }
]


def write_coco_rle(part: Part, images: Iterator[ExportedImage]) -> None:
    """Masks bit by bit as compressed RLE, which most libraries read and Label Studio does not."""
    _write(part, images, lambda record: record["segmentation"])


def write_coco_polygons(part: Part, images: Iterator[ExportedImage]) -> None:
    """Masks as polygons along their pixels' edges; pycocotools makes the same masks of them.

    A hole is joined to the outline around it by a line that runs there and back.
    """
    _write(part, images, _polygons)


def _polygons(record: dict[str, Any]) -> list[list[float]]:
    pieces = exact_pieces(decode_mask(record["segmentation"]))
    return [joined((piece.outer, *piece.holes)).ravel().tolist() for piece in pieces]


def _write(
    part: Part, images: Iterator[ExportedImage], segmentation: Callable[[dict[str, Any]], Any]
) -> None:
    rows = bytearray()
    with part.file("annotations{}.json", "application/json") as file:
        file.write(b'{"annotations": [')
        first = True
        for image in images:
            number = part.numbering.next_image()
            row = {
                "id": number,
                "file_name": image.name,
                "coco_url": image.uri,
                "width": image.width,
                "height": image.height,
                "license": 1,
            }
            rows += (b",\n" if rows else b"") + orjson.dumps(row)
            for record in image.masks:
                shape = segmentation(record)
                if not shape:  # of an empty mask; pycocotools raises IndexError at no polygons
                    continue
                annotation = {
                    "id": part.numbering.next_mask(),
                    "image_id": number,
                    "category_id": part.numbering.category_id(record["category"]),
                    "iscrowd": 0,
                    "score": record["predicted_iou"],
                    "segmentation": shape,
                } | {key: record[key] for key in _KEPT if key in record}
                file.write((b"\n" if first else b",\n") + orjson.dumps(annotation))
                first = False
        end = {
            "categories": part.numbering.categories,
            "licenses": _LICENSES,
            "info": {"description": "Segment Anything on Google Cloud", "version": "1.0"},
        }
        file.write(b'\n], "images": [' + bytes(rows) + b"], " + orjson.dumps(end)[1:] + b"\n")
