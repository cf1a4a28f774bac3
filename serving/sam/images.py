"""Bytes to pixels: every kind of image file that people have, as upright 8-bit RGB."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from serving.sam.errors import ImageError
from serving.sam.sample_window import SampleWindow
from serving.sam.tiff_tags import unusual_tiff

RgbImage = NDArray[np.uint8]  # HWC, RGB, 0-255

try:  # the extra "heic"; its decoder has licences of its own
    from pillow_heif import register_heif_opener
except ImportError:
    _HEIC: tuple[str, ...] = ()
else:
    register_heif_opener()
    _HEIC = ("HEIF",)

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", *_HEIC)
SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif",
)  # fmt: skip
# ISO/IEC 23008-12, brands of files with HEVC images; a file begins with its brand.
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1")
# Pillow's own warning threshold; 8192 x 8192 passes, a decompression bomb does not.
MAX_PIXELS = 1024 * 1024 * 1024 // 4 // 3
# Pillow keeps 4 bytes a pixel of RGB and copies them twice on the way to an array, so colours are
# converted strip by strip.
STRIP_PIXELS = 1 << 18
_HIGHEST_SAMPLE = 65535
_SUPPORTED = "supported are JPEG, PNG, WebP, TIFF, BMP and AVIF"
# The limit is MAX_PIXELS, here, by name. Once for the process: several threads read images, and
# ``warnings.catch_warnings`` restores what another thread has set.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
    if not data:
        raise ImageError(f"{name}: the file is empty (0 bytes); {_SUPPORTED}")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        if stored := unusual_tiff(data):
            raise ImageError(
                f"{name}: a TIFF of {stored}, which is no picture in grey or RGB; choose one or "
                "three bands and convert them to 8 or 16 bits"
            ) from error
        if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS and not _HEIC:
            raise ImageError(
                f"{name}: an HEIC image, which this installation cannot decode; install "
                "pillow-heif (pip install 'sam-vertex[heic]'), or export it as JPEG"
            ) from error
        start = data[:16].lstrip().lower()
        kind = (
            "an HTML page"
            if start.startswith((b"<!doctype", b"<html"))
            else "not an image that can be read"
        )
        raise ImageError(
            f"{name}: the content is {kind}, whatever the file's name says; {_SUPPORTED}"
        ) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: more than {max_pixels} pixels; scale it down first") from error
    except Exception as error:  # Pillow's readers raise SyntaxError, ValueError, struct.error...
        raise ImageError(f"{name}: the file is damaged ({error}); export it again") from error
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: {width} x {height} is {width * height} pixels, more than the limit of "
            f"{max_pixels}; scale it down first"
        )
    return image


def load_image(source: str | Path | bytes, *, max_pixels: int = MAX_PIXELS) -> RgbImage:
    """Return the upright image of a file, or of its content, as RGB; see ``decode_image``.

    Args:
        source: a path, or the bytes of an image file.
        max_pixels: refuse larger images, before decoding them.

    Returns:
        (H, W, 3) uint8 RGB, values in [0, 255], C-contiguous.

    Raises:
        ImageError: the file cannot be read, or its content is no usable image.
    """
    if isinstance(source, bytes):
        return decode_image(source, "image", max_pixels=max_pixels)
    try:
        data = Path(source).read_bytes()
    except OSError as error:
        raise ImageError(f"{source}: the file cannot be read ({error.strerror})") from error
    return decode_image(data, str(source), max_pixels=max_pixels)


def is_image_file(path: str | Path) -> bool:
    """Whether a file begins as one of the supported images do, damaged or too large or not."""
    try:
        Image.open(path, formats=FORMATS).close()
    except UnidentifiedImageError:
        return False
    except Exception:  # as in _open: it is one, and decoding it says what is wrong
        return True
    return True


def read_size(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> tuple[int, int]:
    """Return the upright image's (width, height) in pixels from its header, decoding nothing.

    Raises:
        ImageError: not a supported image, or more than ``max_pixels``.
    """
    with _open(data, name, max_pixels) as image:
        width, height = image.size
        try:  # a PNG's EXIF may stand behind its pixels, so that the whole file is read
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        except Exception as error:
            raise ImageError(
                f"{name}: the {image.format} file is damaged or cut off ({error}); "
                "copy or export it again"
            ) from error
        return (height, width) if turned else (width, height)


def header_pixels(head: bytes) -> int | None:
    """The number of pixels that an image file's first bytes announce; ``None`` if they do not.

    For planning: it refuses nothing and decodes nothing.
    """
    try:
        with Image.open(io.BytesIO(head), formats=FORMATS) as image:
            return image.size[0] * image.size[1]
    except Exception:  # Pillow's readers raise SyntaxError, ValueError, struct.error...
        return None


def decode_image(
    data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, window: str = ""
) -> RgbImage:
    """Return the upright image of a file's content as RGB.

    Applies the EXIF orientation; converts greyscale, palette and CMYK to RGB; scales 16 bits a
    channel to 8; lays transparency on white; takes the first frame of an animation.

    Args:
        data: the file's content.
        name: what to call the image in messages, such as its file name.
        max_pixels: refuse larger images, before decoding them.
        window: of 16-bit samples, see :class:`SampleWindow`.

    Returns:
        (H, W, 3) uint8 RGB, values in [0, 255], C-contiguous.

    Raises:
        ImageError: empty, not an image, of another kind, damaged, truncated or too large.
    """
    with _open(data, name, max_pixels) as image:
        try:
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
        except Exception as error:
            raise ImageError(
                f"{name}: the {image.format} file is damaged or cut off ({error}); "
                "copy or export it again"
            ) from error
        return _to_rgb(image, name, SampleWindow(window))


def _to_rgb(image: Image.Image, name: str, window: SampleWindow) -> RgbImage:
    width, height = image.size
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // max(width, 1))
    if image.mode.startswith("I"):  # 16 bits a channel, or 32 that hold 16
        table = window.table(_count_samples(image, rows, name), name)
        for top, samples in _sample_strips(image, rows):
            rgb[top : top + rows] = table[samples][:, :, None]
        return rgb
    if image.mode == "F":
        raise ImageError(
            f"{name}: floating-point samples have no fixed range; "
            "convert it to 8 or 16 bits a channel"
        )
    try:
        for top in range(0, height, rows):
            strip = image.crop((0, top, width, min(top + rows, height)))
            rgb[top : top + rows] = np.asarray(_opaque(strip).convert("RGB"))
    except ValueError as error:
        raise ImageError(
            f"{name}: colour mode {image.mode} cannot be converted to RGB; {_SUPPORTED}"
        ) from error
    return rgb


def _sample_strips(image: Image.Image, rows: int) -> Iterator[tuple[int, NDArray[np.integer]]]:
    """The samples of a greyscale image, some rows at a time, with the number of the first."""
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield top, np.asarray(image.crop((0, top, image.width, bottom)))


def _count_samples(image: Image.Image, rows: int, name: str) -> NDArray[np.int64]:
    """How many samples have each value from 0 to 65535; ImageError where one is beyond."""
    counts = np.zeros(_HIGHEST_SAMPLE + 1, np.int64)
    for _, samples in _sample_strips(image, rows):
        if samples.min() < 0 or samples.max() > _HIGHEST_SAMPLE:
            low, high = image.getextrema()
            raise ImageError(
                f"{name}: 32-bit integer samples from {low} to {high}; expected at most "
                f"16 bits, 0 to {_HIGHEST_SAMPLE}; convert it to 8 or 16 bits a channel"
            )
        counts += np.bincount(samples.ravel(), minlength=_HIGHEST_SAMPLE + 1)
    return counts


def _opaque(image: Image.Image) -> Image.Image:
    """The image on white, where it has transparency."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, layer)
    return image
