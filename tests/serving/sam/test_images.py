"""Every kind of image file becomes upright RGB, and every other file is refused with its reason."""

import io
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
        (b"hello, this is text" * 20, "no image"),
        (b"<!DOCTYPE html><html>404</html>", "an HTML page"),
        (encoded(COLOURS, "GIF"), "no image that can be read"),
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


def test_decode_image_takes_little_more_memory_than_its_pixels() -> None:
    """Beside the result, 3 bytes a pixel, there is the file's own bitmap, 1 byte here."""
    import subprocess
    import sys

    code = (
        "import io, resource\nfrom PIL import Image\n"
        "from serving.sam.images import decode_image\n"
        "packed = io.BytesIO(); Image.new('P', (6000, 6000)).save(packed, 'PNG')\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "decode_image(packed.getvalue(), 'x')\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 36_000_000 * 5
