"""One file a format. Each writes a part of an export from the images of that part.

``FORMATS`` says of each how a mask of one byte grows at most, so that no file of an export is
larger than 256 MB, and what its files cannot hold.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from scripts.export.formats.coco import write_coco_polygons, write_coco_rle
from scripts.export.formats.cvat import write_cvat
from scripts.export.formats.geojson import write_geojson
from scripts.export.formats.label_studio import write_label_studio
from scripts.export.formats.parquet import write_parquet
from scripts.export.formats.pixels import write_cutouts, write_label_maps
from scripts.export.formats.sa1b import write_sa1b
from scripts.export.formats.yolo import write_yolo
from scripts.export.part import Part
from scripts.export.source import ExportedImage

Write = Callable[[Part, Iterator[ExportedImage]], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Attributes:
        write: writes a part.
        growth: bytes of the export for each byte of ``masks/``, at most.
        loses: what it cannot hold; empty for nothing.
        by_stem: whether its files are named after images without their suffix.
    """

    write: Write
    growth: float = 2.0
    loses: str = ""
    by_stem: bool = False


FORMATS = {
    "coco-rle": Format(write_coco_rle),
    "coco-polygons": Format(write_coco_polygons, growth=20),
    "label-studio": Format(
        write_label_studio,
        growth=20,
        loses="outlines are simplified (IoU 0.99); pieces and holes are joined by lines",
    ),
    "cvat": Format(write_cvat, growth=10),
    "yolo": Format(
        write_yolo,
        growth=10,
        loses="no scores; outlines are simplified; pieces and holes are joined by lines",
        by_stem=True,
    ),
    "sa1b": Format(write_sa1b, by_stem=True),
    "parquet": Format(write_parquet),
    "geojson": Format(write_geojson, growth=30),
    # Files of one image each, so growth bounds what a kill costs: parts of 4 MB of masks.
    "cutouts": Format(write_cutouts, growth=50, loses="no scores, no categories, no places"),
    "label-maps": Format(
        write_label_maps,
        growth=50,
        loses="no scores, no categories; where masks overlap, only the smaller one",
    ),
}
