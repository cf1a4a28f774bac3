"""Label Studio's tasks with polygons (https://labelstud.io/guide/predictions).

Masks of a model are predictions, which a person accepts there; masks that were reviewed here are
annotations. ``label_config.xml`` is the labelling interface of the project that receives them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.sax.saxutils import quoteattr

import orjson

from scripts.export.part import Part
from scripts.export.rings import simple_outline
from scripts.export.source import ExportedImage
from serving.sam.masks import decode_mask


def write_label_studio(part: Part, images: Iterator[ExportedImage]) -> None:
    """One file of tasks, and the labelling interface."""
    with part.file("tasks{}.json", "application/json") as file:
        begin = b"["
        for image in images:
            file.write(begin + b"\n" + orjson.dumps(_task(part, image)))
            begin = b","
        file.write(b"[]\n" if begin == b"[" else b"\n]\n")
    labels = "".join(
        f"    <Label value={quoteattr(item['name'])}/>\n" for item in part.numbering.categories
    )
    config = (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <PolygonLabels name="label" toName="image">\n{labels}  </PolygonLabels>\n</View>\n'
    )
    part.target.write_bytes("label_config.xml", config.encode(), "application/xml")


def _task(part: Part, image: ExportedImage) -> dict[str, Any]:
    part.numbering.next_image()
    regions = []
    for record in image.masks:
        mask = decode_mask(record["segmentation"])
        part.numbering.category_id(record["category"])
        if not mask.any():
            continue
        part.numbering.next_mask()
        percent = simple_outline(mask) * (100 / image.width, 100 / image.height)
        regions.append(
            {
                "id": f"m{record['number']}",
                "type": "polygonlabels",
                "from_name": "label",
                "to_name": "image",
                "original_width": image.width,
                "original_height": image.height,
                "image_rotation": 0,
                "score": record["predicted_iou"],
                "value": {
                    "points": percent.round(5).tolist(),
                    "polygonlabels": [record["category"]],
                    "closed": True,
                },
            }
        )
    task: dict[str, Any] = {"data": {"image": image.uri, "file_name": image.name}}
    if part.reviewed:
        return {**task, "annotations": [{"result": regions}]}
    prediction = {
        "model_version": image.content["checkpoint"]["name"],
        "score": min((region["score"] for region in regions), default=0.0),
        "result": regions,
    }
    return {**task, "predictions": [prediction]}
