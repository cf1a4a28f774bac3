"""Pictures of annotated images, as a run draws them, so that its report can show them."""

from __future__ import annotations

from typing import Any

from pipeline.run.output_layout import overlay_name, segment_name
from pipeline.shard.pictures import draw_overlay, draw_segments, encode_png
from scripts.annotate.objects import Record
from scripts.annotate.shelf import OpenImage
from serving.storage import Folder

_MOST_SEGMENTS = 10  # as `sam-vertex run` draws by default
_PNG = "image/png"


def write_pictures(output: Folder, image: OpenImage, records: list[Record]) -> None:
    """Write the overlay of all masks and each of the first ones alone."""
    output.delete(overlay_name(image.name, small=True))  # of a run that drew overlays only
    masks: Any = records
    output.write_bytes(
        overlay_name(image.name), encode_png(draw_overlay(image.pixels, masks)), _PNG
    )
    for number, picture in enumerate(draw_segments(image.pixels, masks, _MOST_SEGMENTS)):
        output.write_bytes(segment_name(image.name, number), encode_png(picture), _PNG)
