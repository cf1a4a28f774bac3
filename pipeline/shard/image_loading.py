"""A shard reads and decodes an image, and notes why where it cannot."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable
from typing import Any

from pipeline.run.manifest import PlannedImage
from pipeline.shard.figures import Stopwatch
from serving.sam.errors import InputError
from serving.sam.images import RgbImage, decode_image
from serving.sam.tiff_tags import read_georeference
from serving.storage import StorageError, open_folder


@dataclasses.dataclass(slots=True)
class LoadedImage:
    """An image of a shard between reading and writing.

    Attributes:
        image: the image as the run planned it.
        watch: seconds of each stage so far.
        pixels: (H, W, 3) uint8 RGB; ``None`` where it could not be decoded.
        shrunk: what the network sees of it, (h, w, 3) uint8 RGB.
        reason: why the image failed; empty as long as it has not.
        georeference: where a GeoTIFF's pixels lie; ``None`` for other images.
    """

    image: PlannedImage
    watch: Stopwatch = dataclasses.field(default_factory=Stopwatch)
    pixels: RgbImage | None = None
    shrunk: RgbImage | None = None
    reason: str = ""
    georeference: dict[str, Any] | None = None


def load_planned_image(
    image: PlannedImage,
    skip_reason: str = "",
    window: str = "",
    shrink: Callable[[RgbImage], RgbImage] | None = None,
) -> LoadedImage:
    """Read, decode and shrink an image; whatever goes wrong becomes its ``reason``.

    Args:
        image: the image as the run planned it.
        skip_reason: why it must not be tried; empty for an image that may.
        window: of 16-bit samples.
        shrink: makes what the network sees of an image.
    """
    loaded = LoadedImage(image, reason=skip_reason)
    if skip_reason:
        return loaded
    try:
        data = open_folder(image.folder).read_bytes(image.file)
        loaded.watch.lap("read")
        pixels = decode_image(data, image.name, window=window)
        if shrink is not None:
            loaded.shrunk = shrink(pixels)
        loaded.pixels = pixels
        loaded.georeference = read_georeference(data)
    except StorageError as error:
        loaded.reason = f"{image.name}: cannot be read ({error})"
    except InputError as error:
        loaded.reason = str(error)
    except Exception as error:  # one image must not cost the others their work
        loaded.reason = unexpected_reason(image, error)
    loaded.watch.lap("decode")
    return loaded


def unexpected_reason(image: PlannedImage, error: Exception) -> str:
    """Print the traceback of the error being handled; return the reason for the image's row."""
    traceback.print_exc()
    return f"{image.name}: unexpected {type(error).__name__}: {error}"
