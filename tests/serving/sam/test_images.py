"""Every kind of image file becomes upright RGB, and every other file is refused with its reason."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.sam.errors import ImageError
from serving.sam.images import decode_image, read_size


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


RAMP = Image.fromarray(np.arange(24 * 16 * 3, dtype=np.uint32).astype(np.uint8).reshape(16, 24, 3))
COLOURS = Image.new("RGB", (40, 30), (200, 60, 20))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 95}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("BMP", {}),
    ],
)
def test_decode_image_each_format_gives_the_colours(kind: str, options: dict[str, Any]) -> None:
    pixels = decode_image(encoded(COLOURS, kind, **options), "x")
    assert pixels.shape == (30, 40, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert np.abs(pixels.astype(int) - [200, 60, 20]).max() <= 3


@pytest.mark.parametrize(
    ("mode", "colour", "kind", "expected"),
    [
        ("L", 90, "PNG", (90, 90, 90)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("P", 0, "PNG", None),
        ("LA", (90, 255), "PNG", (90, 90, 90)),
        ("RGBA", (200, 60, 20, 255), "PNG", (200, 60, 20)),
        ("RGBA", (200, 60, 20, 0), "PNG", (255, 255, 255)),
        ("RGBA", (200, 60, 20, 0), "WEBP", (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), "TIFF", (255, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "JPEG", (255, 0, 0)),
        ("I;16", 51400, "PNG", (200, 200, 200)),
        ("I;16", 51400, "TIFF", (200, 200, 200)),
    ],
)
def test_decode_image_each_colour_mode_becomes_rgb(
    mode: str, colour: Any, kind: str, expected: tuple[int, int, int] | None
) -> None:
    image = Image.new(mode, (8, 6), colour)
    pixels = decode_image(encoded(image, kind), "x")
    expected_colour = expected or image.convert("RGB").getpixel((0, 0))
    assert pixels.shape == (6, 8, 3)
    assert np.abs(pixels.astype(int) - np.array(expected_colour)).max() <= 2


def test_decode_image_palette_with_transparency_is_laid_on_white() -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30] + [0] * 765)
    pixels = decode_image(encoded(image, "PNG", transparency=0), "x")
    assert (pixels == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_decode_image_exif_orientation_is_applied(orientation: int) -> None:
    """The corner that a camera marks as top left is top left, in all eight orientations."""
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:8, :8] = 255
    turns = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(turns[orientation])), "PNG", exif=exif)
    pixels = decode_image(data, "x")
    assert pixels.shape == upright.shape
    assert (pixels == upright).all()
    assert read_size(data, "x") == (48, 32)


def test_decode_image_animation_gives_the_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert (decode_image(data, "x")[0, 0] == [255, 0, 0]).all()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"hello, this is text" * 20, "not an image that can be read"),
        (b"<!DOCTYPE html><html>404</html>", "an HTML page"),
        (encoded(COLOURS, "GIF"), "not an image that can be read"),
        (encoded(Image.effect_noise((64, 64), 40).convert("RGB"), "JPEG")[:900], "cut off"),
        (encoded(Image.effect_noise((64, 64), 40), "PNG")[:900], "cut off"),
        (encoded(COLOURS, "BMP")[:20], "x"),
        (encoded(Image.new("F", (4, 4), 0.5), "TIFF"), "floating-point"),
        (encoded(Image.new("I", (4, 4), 1 << 20), "TIFF"), "32-bit integer"),
    ],
    ids=["empty", "text", "html", "gif", "jpeg-cut", "png-cut", "bmp-cut", "float", "int32"],
)
def test_decode_image_bad_content_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        decode_image(data, "x")
    assert str(caught.value).startswith("x: ")


def test_decode_image_above_the_pixel_limit_is_refused_before_decoding() -> None:
    data = encoded(Image.new("L", (300, 200)), "PNG")
    with pytest.raises(
        ImageError, match=r"300 x 200 is 60000 pixels, more than the limit of 59999"
    ):
        decode_image(data, "x", max_pixels=59_999)
    assert decode_image(data, "x", max_pixels=60_000).shape == (200, 300, 3)


def test_decode_image_decompression_bomb_is_refused() -> None:
    """A few kilobytes that would unpack to 400 megapixels."""
    data = encoded(Image.new("1", (20_000, 20_000)), "PNG")
    assert len(data) < 100_000
    with pytest.raises(ImageError, match="pixels"):
        decode_image(data, "x")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_decode_image_any_damage_is_an_image_error(data: st.DataObject) -> None:
    """However a file is damaged, decoding gives an image or an ImageError."""
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "BMP"]))
    content = bytearray(encoded(RAMP, kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = content[: data.draw(st.integers(0, len(content)))]
    try:
        assert decode_image(bytes(cut), "x", max_pixels=1_000_000).ndim == 3
    except ImageError as error:
        assert str(error).startswith("x: ")


MODES = {
    "RGB": "PNG", "L": "PNG", "P": "PNG", "1": "PNG", "RGBA": "PNG", "LA": "PNG", "CMYK": "TIFF",
    "I;16": "PNG", "I": "TIFF", "YCbCr": "TIFF",
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_decode_image_in_strips_is_the_image_as_a_whole(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The strips save memory, whatever the mode, and change no pixel."""
    image = RAMP.convert("I").point(lambda value: value * 257) if mode == "I" else RAMP
    if mode == "I;16":
        image = Image.fromarray(np.asarray(RAMP.convert("L")).astype(np.uint16) * 257)
    elif mode != "I":
        image = RAMP.convert(mode)
    data = encoded(image, MODES[mode])
    whole = decode_image(data, "x")
    monkeypatch.setattr("serving.sam.images.STRIP_PIXELS", 3 * RAMP.width + 1)
    assert np.array_equal(decode_image(data, "x"), whole)
    assert whole.shape == (RAMP.height, RAMP.width, 3) and whole.flags.c_contiguous


# Bytes a pixel at the peak: ours are 3, and Pillow's bitmap has 1 (palette), 2 (16 bits) or 4. Its
# readers of AVIF and WebP hold planes or two canvases, and a copy, while they fill it.
MEMORY = {
    ("P", "PNG"): 4, ("I;16", "PNG"): 5, ("I;16", "TIFF"): 5, ("RGB", "JPEG"): 7, ("RGB", "PNG"): 7,
    ("RGBA", "PNG"): 7, ("RGB", "TIFF"): 7, ("RGB", "AVIF"): 10, ("RGB", "WEBP"): 16,
}  # fmt: skip
# In a process forked for each file, since memory that was freed is not given back.
DECODE = """
import os, resource, sys
from serving.sam.images import decode_image
for path in sys.argv[1:]:
    if os.fork() == 0:
        data = open(path, "rb").read()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        decode_image(data, path)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def test_decode_image_takes_little_more_memory_than_its_pixels(tmp_path: Path) -> None:
    files = []
    for number, (mode, kind) in enumerate(MEMORY):
        colour = 40_000 if mode == "I;16" else "red"
        Image.new(mode, (4000, 3000), colour).save(tmp_path / str(number), kind)
        files.append(str(tmp_path / str(number)))
    command = [sys.executable, "-c", DECODE, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    taken = [int(line) * unit / 12e6 for line in done.stdout.splitlines()]
    over = {
        about: round(bytes_a_pixel, 2)
        for (about, most), bytes_a_pixel in zip(MEMORY.items(), taken, strict=True)
        if bytes_a_pixel > most + 0.9  # strips, and what a decoder loads once
    }
    assert over == {}
