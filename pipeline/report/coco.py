"""Writes the COCO data set of a run image by image, so that its size costs no memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any

import orjson

from pipeline.run.manifest import as_text, read_json
from pipeline.run.output_layout import CATEGORIES
from serving.sam.masks import category_of
from serving.storage import Folder

_HEADER = {
    "info": {"description": "Segment Anything on Google Cloud", "version": "1.0"},
    "licenses": [],
}
_KEPT = ("segmentation", "area", "bbox", "predicted_iou", "stability_score", "point_coords")


class AnnotationsWriter:
    """Writes the masks of a run as one COCO data set.

    ``pycocotools.coco.COCO`` loads it (https://cocodataset.org/#format-data). Annotations carry
    SAM's scores beside the keys of the format. What nobody named is an "object".

    Args:
        file: where to write, in binary mode.
        categories: known ones, with the ids of their owner; others follow as they appear.
    """

    def __init__(self, file: IO[bytes], categories: Sequence[Mapping[str, Any]] = ()) -> None:
        self._file = file
        self._images = bytearray()  # orjson's own objects keep 4 kB each
        self._count = 0
        self._categories = [dict(category) for category in categories]
        self._category_ids = {str(item["name"]): int(item["id"]) for item in categories}
        self.masks = 0
        file.write(orjson.dumps(_HEADER)[:-1] + b', "annotations": [')

    def add(self, content: dict[str, Any]) -> None:
        """Add the masks of one image, the content of its ``masks/*.json``."""
        self._count = number = self._count + 1
        self._images += b",\n" if number > 1 else b""
        self._images += orjson.dumps(
            {
                "id": number,
                "file_name": content["image"],
                "coco_url": as_text(content["source"]),
                "width": content["width"],
                "height": content["height"],
            }
        )
        for record in content["masks"]:
            row = {"id": self.masks + 1, "image_id": number, "iscrowd": 0}
            row["category_id"] = self._category_id(category_of(record))
            row |= {key: record[key] for key in _KEPT}
            row["score"] = record["predicted_iou"]  # where readers of detections look for it
            if "prompt" in record:
                row["prompt"] = record["prompt"]
            self._file.write((b",\n" if self.masks else b"\n") + orjson.dumps(row))
            self.masks += 1

    def _category_id(self, name: str) -> int:
        number = self._category_ids.get(name)
        if number is None:
            number = max(self._category_ids.values(), default=0) + 1
            self._category_ids[name] = number
            self._categories.append({"id": number, "name": name, "supercategory": ""})
        return number

    def close(self) -> None:
        """Write the end; the file stays open."""
        self._file.write(b'\n], "categories": ' + orjson.dumps(self._categories))
        self._file.write(b', "images": [' + bytes(self._images) + b"]}\n")


def known_categories(output: Folder) -> list[dict[str, Any]]:
    """The categories of the prompts, with their owner's ids."""
    known = read_json(output, CATEGORIES)["categories"] if output.exists(CATEGORIES) else []
    return list(known)
