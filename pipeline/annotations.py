"""The COCO data set of a run, written image by image so that its size costs no memory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import IO, Any


def write_annotations(file: IO[str], images: Iterable[dict[str, Any]]) -> int:
    """Write the masks of a run as one COCO data set and return how many masks it holds.

    ``pycocotools.coco.COCO`` loads it (https://cocodataset.org/#format-data). Annotations carry
    SAM's scores beside the keys of the format; all are of the one category "object".

    Args:
        file: where to write.
        images: contents of the ``masks/*.json`` files, read as they are needed.
    """
    header = {
        "info": {"description": "Segment Anything on Google Cloud", "version": "1.0"},
        "licenses": [],
        "categories": [{"id": 1, "name": "object", "supercategory": "object"}],
    }
    file.write(json.dumps(header)[:-1] + ', "annotations": [')
    image_rows: list[dict[str, Any]] = []
    count = 0
    for number, content in enumerate(images, start=1):
        image_rows.append(
            {
                "id": number,
                "file_name": content["image"],
                "width": content["width"],
                "height": content["height"],
            }
        )
        for record in content["masks"]:
            count += 1
            row = {
                "id": count,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                **{key: record[key] for key in ("segmentation", "area", "bbox")},
                "predicted_iou": record["predicted_iou"],
                "stability_score": record["stability_score"],
                "point_coords": record["point_coords"],
            }
            if "prompt" in record:
                row["prompt"] = record["prompt"]
            file.write((",\n" if count > 1 else "\n") + json.dumps(row))
    file.write('\n], "images": ' + json.dumps(image_rows) + "}\n")
    return count
