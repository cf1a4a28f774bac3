"""A shard writes a finished image into the run's output: pictures first, masks last."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from pipeline.ordered_map import ordered_map
from pipeline.run.manifest import ManifestRow, PlannedImage, as_text, write_json
from pipeline.run.output_layout import masks_name, overlay_name, segment_name
from pipeline.shard.pictures import (
    OVERLAY_SIDE,
    Decoder,
    decode_record,
    draw_overlay,
    draw_segments,
    encode_png,
    encode_webp,
    outline_paths,
)
from serving.sam.images import RgbImage
from serving.sam.masks import MaskRecord
from serving.sam.plain_text import one_line
from serving.storage import Folder

_PNG, _WEBP = "image/png", "image/webp"
_MOST_SEGMENTS = 100  # of an image; see RunParameters.max_masks


def draw_pictures(
    image: PlannedImage,
    pixels: RgbImage,
    records: Sequence[MaskRecord],
    most: int,
    decode: Decoder = decode_record,
) -> list[tuple[str, bytes]]:
    """Draw an image's overlay and its segments, or what of them the run wants.

    Args:
        image: the image as the run planned it.
        pixels: (H, W, 3) uint8 RGB.
        records: its masks, best first.
        most: how many segments to draw.
        decode: how the masks are decoded.

    Returns:
        The names and files of the pictures, the overlay first.
    """
    if image.pictures == "none":
        return []
    overlay = draw_overlay(pixels, records, decode)
    if image.pictures == "overlays":
        return [(overlay_name(image.name, small=True), encode_webp(overlay, OVERLAY_SIDE))]
    segments = (
        (segment_name(image.name, number), encode_png(picture))
        for number, picture in enumerate(draw_segments(pixels, records, most, decode))
    )
    return [(overlay_name(image.name), encode_png(overlay)), *segments]


def write_pictures(
    output: Folder, image: PlannedImage, pictures: Sequence[tuple[str, bytes]]
) -> None:
    """Write an image's pictures, and remove those of an earlier run that drew more or others."""

    def write(picture: tuple[str, bytes]) -> None:
        name, content = picture
        output.write_bytes(name, content, _WEBP if name.endswith(".webp") else _PNG)

    for _ in ordered_map(write, pictures, output.readers):  # a bucket is far away
        pass
    names = {name for name, _ in pictures}
    _remove_overlays(output, image, names)
    _remove_segments(output, image, sum(name.startswith("segments/") for name in names))


def remove_pictures(output: Folder, image: PlannedImage) -> None:
    """Remove all pictures that an earlier run drew of an image."""
    _remove_overlays(output, image, frozenset())
    _remove_segments(output, image, 0)


def _remove_overlays(output: Folder, image: PlannedImage, kept: Set[str]) -> None:
    for name in (overlay_name(image.name, small=small) for small in (False, True)):
        if name not in kept:
            output.delete(name)


def _remove_segments(output: Folder, image: PlannedImage, first: int) -> None:
    for number in range(first, _MOST_SEGMENTS + 1):
        # Not the whole folder segments/<image>: an input folder of that name has its own below it.
        if not output.exists(segment_name(image.name, number)):
            break
        output.delete(segment_name(image.name, number))


def masks_content(
    image: PlannedImage,
    pixels: RgbImage,
    records: Sequence[MaskRecord],
    most: int,
    about: dict[str, Any],
    decode: Decoder = decode_record,
) -> dict[str, Any]:
    """The content of an image's masks file.

    Args:
        image: the image as the run planned it.
        pixels: (H, W, 3) uint8 RGB.
        records: its masks, best first.
        most: how many of them the reports show.
        about: ``settings``, ``checkpoint``, ``precision``, ``device``, ``shard``, ``seconds``.
        decode: how the masks are decoded.
    """
    (width, height), outlines = outline_paths(pixels, records, most, decode)
    return {
        "fingerprint": image.fingerprint,  # first: pipeline.run.manifest.is_done reads no further
        "masks_fingerprint": image.masks_fingerprint,
        "image": image.name,
        "source": image.source,
        "digest": image.digest,
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "mode": "prompted" if image.prompts else "automatic",
        **about,
        "pictures": image.pictures,
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
        reason=one_line(as_text(reason)),
        seconds=round(seconds, 4),
        shard=shard,
        digest=image.digest,
    )
