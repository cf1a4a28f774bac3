"""The images that a run has segmented, read again: the same content, or a reason why not."""

from __future__ import annotations

from scripts.export.source import ExportedImage
from serving.sam.errors import ImageError
from serving.sam.images import RgbImage, decode_image
from serving.storage import StorageError, open_parent
from serving.storage.checksums import md5_of_bytes


class OriginalError(Exception):
    """An original is not there, or is another image than the run has seen."""


def read_original(image: ExportedImage) -> RgbImage:
    """Return an image's pixels as the run saw them, (H, W, 3) uint8 RGB.

    Args:
        image: its ``uri`` says where to read.

    Raises:
        OriginalError: it cannot be read, or has changed since.
    """
    try:
        folder, name = open_parent(image.uri)
        data = folder.read_bytes(name)
        window = str(image.content.get("settings", {}).get("window", ""))
        pixels = decode_image(data, image.name, window=window)
    except StorageError as error:
        raise OriginalError(f"{image.name}: cannot be read ({error})") from error
    except ImageError as error:
        raise OriginalError(str(error)) from error
    known = str(image.content.get("digest", ""))
    changed = known.startswith("md5:") and known != md5_of_bytes(data)
    if changed or pixels.shape[:2] != (image.height, image.width):
        raise OriginalError(f"{image.name}: {image.uri} has changed since the run")
    return pixels
