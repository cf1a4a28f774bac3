"""GeoJSON (RFC 7946): a feature for each mask, in the reference system of its GeoTIFF.

Of other images the coordinates are pixels, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson

from scripts.export.part import Part
from scripts.export.rings import Ring, exact_pieces
from scripts.export.source import ExportedImage
from scripts.terminal.errors import OperatorError
from serving.sam.masks import decode_mask

_PROPERTIES = ("category", "area", "predicted_iou", "stability_score")


def write_geojson(part: Part, images: Iterator[ExportedImage]) -> None:
    """One collection of features; all images of a part must lie in one reference system."""
    system: str | None = None
    with part.file("masks{}.geojson", "application/geo+json") as file:
        file.write(b'{"type": "FeatureCollection", "features": [')
        begin = b"\n"
        for image in images:
            reference = image.content.get("georeference") or {}
            crs = reference.get("crs", "")
            if system is not None and crs != system:
                raise OperatorError(
                    f"{image.name}: its reference system is {crs or 'none'}, and that of the "
                    f"images before it {system or 'none'}",
                    hint="run and export images of different reference systems apart",
                )
            system = crs
            number = part.numbering.next_image()
            for record in image.masks:
                feature = _feature(image, number, record, reference.get("transform"))
                feature["id"] = part.numbering.next_mask()
                part.numbering.category_id(record["category"])
                file.write(begin + orjson.dumps(feature))
                begin = b",\n"
        file.write(b"\n]")
        if system:  # of the format before RFC 7946; GDAL and everything upon it reads it
            file.write(
                b', "crs": ' + orjson.dumps({"type": "name", "properties": {"name": system}})
            )
        file.write(b"}\n")


def _feature(
    image: ExportedImage, number: int, record: dict[str, Any], transform: list[float] | None
) -> dict[str, Any]:
    polygons = [
        [
            _closed(ring, transform, outer=not i)
            for i, ring in enumerate((piece.outer, *piece.holes))
        ]
        for piece in exact_pieces(decode_mask(record["segmentation"]))
    ]
    return {
        "type": "Feature",
        "geometry": {"type": "MultiPolygon", "coordinates": polygons},
        "properties": {"image": image.name, "image_id": number, "mask": record["number"]}
        | {key: record[key] for key in _PROPERTIES if key in record},
    }


def _closed(ring: Ring, transform: list[float] | None, *, outer: bool) -> list[list[float]]:
    """The ring in the reference system, closed, counterclockwise where it is an outer one."""
    x, y = ring[:, 0], ring[:, 1]
    if transform is not None:
        a, b, c, d, e, f = transform
        x, y = a * x + b * y + c, d * x + e * y + f
    area = float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    points = np.stack([x, y], axis=1)
    points = points if (area > 0) == outer else points[::-1]
    closed: list[list[float]] = np.concatenate([points, points[:1]]).tolist()
    return closed
