"""Images as microscopes, telephones and satellites write them: 12 bits, HEIC, bands, GeoTIFF."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving.sam import images
from serving.sam.errors import ImageError, ParameterError
from serving.sam.images import decode_image
from serving.sam.tiff_tags import read_georeference


def png(samples: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(samples, np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()


TWELVE_BITS = [[0, 1000, 2048, 4095]]


def grey(data: bytes, window: str = "") -> list[int]:
    pixels = decode_image(data, "a.png", window=window)
    assert (pixels == pixels[..., :1]).all()
    values: list[int] = pixels[0, :, 0].tolist()
    return values


def test_16_bits_that_hold_12_are_never_black_in_silence() -> None:
    with pytest.raises(ImageError, match=r"a.png: .* reach only 4095 of 65535.*--window 0-4095 or"):
        grey(png(TWELVE_BITS))
    assert grey(png(TWELVE_BITS), "0-4095") == [0, 62, 127, 255]
    assert grey(png([[0, 0]])) == [0, 0]  # black it is
    assert grey(png([[0, 257, 65535]])) == [0, 1, 255]


def test_avif_is_read_upright() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (32, 16), (200, 40, 40)).save(buffer, "AVIF", quality=95)
    pixels = decode_image(buffer.getvalue(), "a.avif").astype(int)
    assert pixels.shape == (16, 32, 3)
    assert abs(pixels - (200, 40, 40)).max() < 8


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_its_decoder_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, brand: bytes
) -> None:
    monkeypatch.setattr(images, "_HEIC", ())  # also where somebody has installed it
    monkeypatch.setattr(images, "FORMATS", tuple(f for f in images.FORMATS if f != "HEIF"))
    data = struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1heic" + bytes(64)
    with pytest.raises(ImageError, match=r"a.heic: an HEIC image, .*sam-vertex\[heic\]"):
        decode_image(data, "a.heic")


def test_window_of_an_image_itself() -> None:
    assert grey(png(TWELVE_BITS), "auto") == [0, 62, 127, 255]
    noisy = np.full((100, 100), 1000)
    noisy[0, :4], noisy[1:50] = [0, 0, 65535, 65535], 3000
    assert set(grey(png(noisy), "auto")[4:]) == {0}  # 1000; the hot pixels decide nothing
    assert set(decode_image(png(noisy), "a", window="auto")[1:50].ravel()) == {255}
    assert grey(png([[700, 700]]), "auto") == [0, 0]


def test_window_cuts_off_what_lies_outside() -> None:
    assert grey(png([[0, 100, 150, 200, 65535]]), "100-200") == [0, 0, 127, 255, 255]


@pytest.mark.parametrize("window", ["4095", "9-9", "9-8", "0-65536", "-1-5", "a-b", "0-4095 "])
def test_wrong_windows_are_named(window: str) -> None:
    with pytest.raises(ParameterError, match="--window: expected auto or LOW-HIGH"):
        decode_image(png(TWELVE_BITS), "a.png", window=window)


def tiff(bands: int, bits: int, sample_format: int, extra: dict[int, tuple[str, Any]] | None = None,
         big: bool = False) -> bytes:  # fmt: skip
    """An uncompressed TIFF of 2 x 2 pixels."""
    size = bands * bits // 8 * 4
    entries: dict[int, tuple[str, Any]] = {
        256: ("H", [2]), 257: ("H", [2]), 258: ("H", [bits] * bands), 259: ("H", [1]),
        262: ("H", [1]), 273: ("I", [0]), 277: ("H", [bands]), 278: ("H", [2]),
        279: ("I", [size]), 339: ("H", [sample_format] * bands), **(extra or {}),
    }  # fmt: skip
    head = 16 if big else 8
    count_size, entry_size, value_size = (8, 20, 8) if big else (2, 12, 4)
    position = head + count_size + len(entries) * entry_size + value_size
    directory, values = b"", b""
    for tag, (kind, items) in sorted(entries.items()):
        content = struct.pack(f"<{len(items)}{kind}", *items)
        number = {"H": 3, "I": 4, "d": 12}[kind]
        directory += struct.pack("<HHQ" if big else "<HHI", tag, number, len(items))
        if len(content) <= value_size:
            directory += content.ljust(value_size, b"\0")
        else:
            place = position + len(values)
            directory += struct.pack("<Q" if big else "<I", place)
            values += content
    start = (struct.pack("<2sHHHQ", b"II", 43, 8, 0, 16) if big
             else struct.pack("<2sHI", b"II", 42, 8))  # fmt: skip
    count = struct.pack("<Q" if big else "<H", len(entries))
    return start + count + directory + b"\0" * value_size + values + b"\0" * size


@pytest.mark.parametrize(
    ("bands", "bits", "sample_format", "stored"),
    [
        (13, 16, 1, "13 bands of 16 bits, unsigned samples"),
        (4, 32, 3, "4 bands of 32 bits, floating-point samples"),
        (1, 64, 3, "1 band of 64 bits, floating-point samples"),
        (2, 16, 2, "2 bands of 16 bits, signed samples"),
    ],
)
@pytest.mark.parametrize("big", [False, True])
def test_tiff_that_is_no_picture_is_refused_for_what_it_is(
    bands: int, bits: int, sample_format: int, stored: str, big: bool
) -> None:
    with pytest.raises(ImageError, match=f"b.tif: a TIFF of {stored}, which is no picture"):
        decode_image(tiff(bands, bits, sample_format, big=big), "b.tif")


KEYS = [1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633]


def test_georeference_of_a_geotiff() -> None:
    scale = {33550: ("d", [10.0, 20.0, 0.0]), 33922: ("d", [0, 0, 0, 500000.0, 4600000.0, 0])}
    utm = {**scale, 34735: ("H", KEYS)}
    assert read_georeference(tiff(1, 8, 1, utm)) == {
        "transform": [10.0, 0.0, 500000.0, 0.0, -20.0, 4600000.0],
        "crs": "urn:ogc:def:crs:EPSG::32633",
    }
    middles = [*KEYS[:11], 2, *KEYS[12:]]  # PixelIsPoint
    found = read_georeference(tiff(1, 8, 1, {**scale, 34735: ("H", middles)}))
    assert found is not None and found["transform"][2::3] == [499995.0, 4600010.0]
    unnamed = read_georeference(tiff(1, 8, 1, scale, big=True))
    assert unnamed is not None and unnamed["crs"] == ""
    matrix = [0.0, 2.0, 0, 7, 3.0, 0.0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1.0]
    turned = read_georeference(tiff(1, 8, 1, {34264: ("d", matrix)}))
    assert turned is not None and turned["transform"] == [0.0, 2.0, 7.0, 3.0, 0.0, 8.0]


@pytest.mark.parametrize(
    "data", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", png([[1]]), tiff(1, 8, 1)]
)
def test_what_has_no_georeference_has_none(data: bytes) -> None:
    assert read_georeference(data) is None
