"""What a finished image leaves in a run's output: pictures first, masks last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.ordered_map import ordered_map
from pipeline.run.manifest import ManifestRow, PlannedImage, as_text, write_json
from pipeline.run.output_layout import masks_name, overlay_name, segment_name
from pipeline.shard.pictures import draw_overlay, draw_segments, encode_png, outline_paths
from serving.sam.images import RgbImage
from serving.sam.masks import MaskRecord
from serving.storage import Folder

_PNG = "image/png"
_MOST_SEGMENTS = 100  # of an image; see RunParameters.max_masks


def draw_pictures(
    image: PlannedImage, pixels: RgbImage, records: Sequence[MaskRecord], most: int
) -> list[tuple[str, bytes]]:
    """The names and PNG files of an image's overlay and of its segments."""
    return list(_pictures(image.name, pixels, records, most))


def _pictures(
    name: str, pixels: RgbImage, records: Sequence[MaskRecord], most: int
) -> Iterator[tuple[str, bytes]]:
    yield overlay_name(name), encode_png(draw_overlay(pixels, records))
    for number, picture in enumerate(draw_segments(pixels, records, most)):
        yield segment_name(name, number), encode_png(picture)


def write_pictures(
    output: Folder, image: PlannedImage, pictures: Sequence[tuple[str, bytes]]
) -> None:
    """Write them, and remove the segments of an earlier run that found more."""

    def write(picture: tuple[str, bytes]) -> None:
        output.write_bytes(*picture, _PNG)

    for _ in ordered_map(write, pictures, output.readers):  # a bucket is far away
        pass
    for number in range(len(pictures) - 1, _MOST_SEGMENTS + 1):
        # One by one: below segments/<image> there may be those of a folder of that name.
        if not output.exists(segment_name(image.name, number)):
            break
        output.delete(segment_name(image.name, number))


def masks_content(
    image: PlannedImage,
    pixels: RgbImage,
    records: Sequence[MaskRecord],
    most: int,
    about: dict[str, Any],
) -> dict[str, Any]:
    """The content of an image's masks file.

    Args:
        image: as planned.
        pixels: (H, W, 3) uint8 RGB.
        records: its masks, best first.
        most: how many of them the reports show.
        about: ``settings``, ``checkpoint``, ``precision``, ``device``, ``shard``, ``seconds``.
    """
    (width, height), outlines = outline_paths(pixels, records, most)
    return {
        "fingerprint": image.fingerprint,  # first: pipeline.run.manifest.is_done reads no further
        "image": image.name,
        "source": image.source,
        "digest": image.digest,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "mode": "prompted" if image.prompts else "automatic",
        **about,
        "masks": list(records),
        "outlines": {"width": width, "height": height, "paths": outlines},
    }


def write_masks(output: Folder, image: PlannedImage, content: dict[str, Any]) -> None:
    """Write the masks file; its presence means that the image is done."""
    write_json(output, masks_name(image.name), content)


def done_row(image: PlannedImage, content: dict[str, Any]) -> ManifestRow:
    """The manifest row of finished masks."""
    return ManifestRow(
        image=image.name,
        status="done",
        seconds=round(sum(content["seconds"].values()), 4),
        masks=len(content["masks"]),
        shard=content["shard"],
        digest=image.digest,
    )


def failed_row(image: PlannedImage, reason: str, shard: str, seconds: float = 0.0) -> ManifestRow:
    """The manifest row of an image without masks."""
    return ManifestRow(
        image=image.name,
        status="failed",
        reason=as_text(reason),
        seconds=round(seconds, 4),
        shard=shard,
        digest=image.digest,
    )
