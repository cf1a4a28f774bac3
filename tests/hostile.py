"""The corpus of hostile files in tests/data/hostile, each named for its fault.

    python -m tests.hostile      # writes all of them anew, the same to the byte

The files are small and made here, so that a reader sees what is wrong with each.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = Path(__file__).parent / "data" / "hostile"


def files(kind: str) -> list[Path]:
    """The files of a kind: ``images``, ``requests``, ``prompts`` or ``checkpoints``."""
    found = sorted((FOLDER / kind).iterdir())
    assert found, f"{FOLDER / kind} is empty; python -m tests.hostile writes it"
    return found


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    packed = io.BytesIO()
    image.save(packed, form, **options)
    return packed.getvalue()


def _ramp(mode: str = "RGB") -> Image.Image:
    values = np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)
    return Image.fromarray(values).convert(mode)


def _chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def _png(width: int, height: int, *more: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG that says what size it has, whatever follows."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + b"".join(more) + _chunk(b"IEND", b"")


def _pixels(content: bytes) -> bytes:
    return _chunk(b"IDAT", zlib.compress(content, 9))


def _tiff(*tags: tuple[int, int, int, int], next_ifd: int = 0) -> bytes:
    """A little-endian TIFF of one directory at 8, which may name any directory as its next."""
    directory = struct.pack("<H", len(tags))
    for tag in tags:
        directory += struct.pack("<HHII", *tag)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", next_ifd)


def _bmp(width: int, height: int, content: bytes = b"") -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(content), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(content), 0, 0, 54) + header + content


def _jpeg_that_says(width: int, height: int) -> bytes:
    data = bytearray(_encoded(_ramp(), "JPEG", quality=60))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def images() -> dict[str, bytes]:
    """Content of image files by name."""
    jpeg, png = _encoded(_ramp(), "JPEG", quality=60), _encoded(_ramp(), "PNG")
    webp = _encoded(_ramp(), "WEBP", quality=40)
    flat = Image.new("P", (9400, 9400))
    bad_check = bytearray(png)
    bad_check[-20] ^= 255
    turned = Image.Exif()
    turned[0x0112] = 99
    wide, text = 60_000, zlib.compress(bytes(20_000_000), 9)
    return {
        "empty.png": b"",
        "one-byte.jpg": b"\xff",
        "text.png": b"this is no image\n",
        "html-error-page.jpg": b"<!DOCTYPE html><html><body>403 Forbidden</body></html>",
        "svg-named-png.png": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "gif-named-jpg.jpg": _encoded(_ramp("P"), "GIF"),
        "pdf-named-png.png": b"%PDF-1.7\n1 0 obj<<>>endobj\n",
        "cut-off.jpg": jpeg[: len(jpeg) // 2],
        "cut-off.png": png[: len(png) // 2],
        "cut-off.webp": webp[: len(webp) // 2],
        "header-only.png": png[:33],
        "wrong-checksum.png": bytes(bad_check),
        "says-20000-by-20000.png": _png(20_000, 20_000),
        "says-65500-by-65500.jpg": _jpeg_that_says(65_500, 65_500),
        "says-no-width.png": _png(0, 48),
        "flat-88-megapixels.png": _encoded(flat, "PNG", optimize=True),
        "pixels-are-a-bomb.png": _png(64, 48, _pixels(bytes(30_000_000))),
        "pixels-are-missing.png": _png(64, 48, _pixels(b"\0")),
        "text-is-a-bomb.png": _png(
            64, 48, _chunk(b"zTXt", b"k\0\0" + text), _pixels(bytes(48 * (1 + 64 * 3)))
        ),
        "colours-without-palette.png": _png(64, 48, _pixels(bytes(48 * 65)), colour=3),
        "sixteen-bits-cut.png": _png(64, 48, _pixels(bytes(99)), depth=16, colour=0),
        "wider-than-high.png": _png(wide, 1, _pixels(bytes(1 + wide * 3))),
        "one-pixel.png": _encoded(Image.new("RGB", (1, 1)), "PNG"),
        "orientation-99.jpg": _encoded(_ramp(), "JPEG", exif=turned),
        "exif-is-noise.jpg": _encoded(_ramp(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" * 9),
        "profile-is-noise.jpg": _encoded(_ramp(), "JPEG", icc_profile=b"noise" * 40),
        "cmyk.jpg": _encoded(_ramp("CMYK"), "JPEG", quality=50),
        "directory-names-itself.tif": _tiff((256, 3, 1, 8), (257, 3, 1, 8), next_ifd=8),
        "strips-beyond-the-end.tif": _tiff(
            (256, 3, 1, 64), (257, 3, 1, 48), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
            (273, 4, 1, 4_000_000_000), (278, 4, 1, 48), (279, 4, 1, 4_000_000_000),
        ),
        "a-billion-tags.tif": b"II*\0\x08\0\0\0\xff\xff" + bytes(40),
        "floats.tif": _encoded(Image.new("F", (8, 8), 0.5), "TIFF"),
        "upside-down.bmp": _bmp(2, -2, bytes(16)),
        "says-two-billion.bmp": _bmp(2**31 - 1, 2**31 - 1),
        "without-pixels.bmp": _bmp(640, 480),
    }  # fmt: skip


def requests() -> dict[str, bytes]:
    """Bodies of requests by name; ``IMAGE`` stands for a good image of 64 x 48 pixels."""
    deep = b"[" * 20_000 + b"]" * 20_000
    good = {"image": "IMAGE", "input_point": [10, 10]}

    def body(*instances: object, **parameters: object) -> bytes:
        return json.dumps({"instances": instances, "parameters": parameters}).encode()

    return {
        "nested-deeply.json": b'{"instances": ' + deep + b"}",
        "no-utf-8.json": b'{"instances": ["\xff\xfe"]}',
        "lone-surrogate.json": b'{"instances": [{"file_path": "\\ud800", "image": "IMAGE"}]}',
        "number-of-5000-digits.json": b'{"instances": [' + b"9" * 5000 + b"]}",
        "not-a-number.json": b'{"instances": [{"image": "IMAGE", "input_point": [NaN, Infinity]}]}',
        "key-twice.json": b'{"instances": [], "instances": [{}], "instances": null}',
        "prototype.json": b'{"__proto__": {"instances": []}, "constructor": 1}',
        "two-documents.json": b'{"instances": []}{"instances": []}',
        "huge-integers.json": body({"image": "IMAGE", "input_point": [10**18, -(10**18)]}),
        "label-true.json": body({**good, "input_label": True}),
        "no-points.json": body({"image": "IMAGE", "input_point": []}),
        "box-inside-out.json": body({"image": "IMAGE", "input_box": [40, 40, 2, 2]}),
        "climbing-name.json": body({**good, "file_path": "../../etc/passwd"}),
        "name-with-escapes.json": body({**good, "file_path": "\x1b[2J\x07.png"}),
        "uri-of-a-file.json": body({"image_uri": "file:///etc/passwd"}),
        "uri-of-metadata.json": body({"image_uri": "http://metadata.google.internal/"}),
        "output-elsewhere.json": body(good, output_uri="gs://someone-elses/bucket"),
        "grid-of-a-million.json": body(good, points_per_side=1_000_000),
        "crops-without-points.json": body(
            good, crop_n_layers=4, crop_n_points_downscale_factor=256
        ),
        "mask-of-another-size.json": body({**good, "mask_input": [[0.0] * 8] * 8}),
        "id-of-another-kind.json": body({"image_id": "0" * 63 + "g", "input_point": [1, 1]}),
    }


def prompts() -> dict[str, bytes]:
    """Prompts files by name."""
    return {
        "empty.json": b"",
        "no-utf-8.json": b'{"\xff": {"1": [[1, 2]]}}',
        "a-list.json": b"[]",
        "nested-deeply.json": b'{"a.jpg": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        "name-twice.json": b'{"a.jpg": {"1": [[1, 2]]}, "a.jpg": {"1": [[3, 4]]}}',
        "label-2.json": b'{"a.jpg": {"2": [[1, 2]]}}',
        "only-background.json": b'{"a.jpg": {"0": [[1, 2]]}}',
        "not-a-number.json": b'{"a.jpg": {"1": [[NaN, 2]]}}',
        "number-of-5000-digits.json": b'{"a.jpg": {"1": [[' + b"9" * 5000 + b", 2]]}}",
        "three-coordinates.json": b'{"a.jpg": {"1": [[1, 2, 3]]}}',
        "labels-missing.json": b'{"a.jpg": [[[1, 2], [3, 4]], [1]]}',
        "box-inside-out.json": b'{"a.jpg": [{"box": [9, 9, 1, 1]}]}',
        "name-with-escapes.json": b'{"\\u001b[31mred": {"3": [[1, 2]]}}',
    }


def _archive(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(f"archive/{name.replace('__', '/').replace('_', '.')}")
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return packed.getvalue()


def checkpoints() -> dict[str, bytes]:
    """Weights files by name; none holds weights, some would run code where pickles may."""
    code = b"\x80\x02cos\nsystem\n(S'touch /tmp/sam-hostile-ran'\ntR."
    return {
        "empty.pth": b"",
        "text.pth": b"these are no weights",
        "html-error-page.pth": b"<html><title>Quota exceeded</title></html>",
        "jpeg.pth": _encoded(_ramp(), "JPEG", quality=20),
        "safetensors.pth": struct.pack("<Q", 2) + b"{}",
        "header-beyond-the-end.safetensors": struct.pack("<Q", 1 << 20) + b"{}",
        "data-beyond-the-end.safetensors": struct.pack("<Q", 59)
        + b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}    ',
        "overlapping.safetensors": struct.pack("<Q", 113)
        + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        + b'"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}     '
        + bytes(4),
        "hdf5.pth": b"\x89HDF\r\n\x1a\n" + bytes(20),
        "code-bare.pth": code,
        "code-protocol-0.pth": b"cos\nsystem\n(S'touch /tmp/sam-hostile-ran'\ntR.",
        "code-in-archive.pth": _archive(data_pkl=code, version=b"3\n"),
        "getattr-in-archive.pth": _archive(
            data_pkl=b"\x80\x02cbuiltins\ngetattr\n(ctorch\nTensor\nS'tofile'\ntR.", version=b"3\n"
        ),
        "empty-archive.pth": b"PK\5\6" + bytes(18),
        "archive-cut-off.pth": _archive(data_pkl=code, version=b"3\n")[:60],
        "torchscript.pth": _archive(constants_pkl=b"\x80\2).", version=b"3\n"),
        "pickle-cut-off.pth": b"\x80\x02}q\x00(X\x05",
        "memo-beyond-the-end.pth": b"\x80\x02h\xff.",
        "a-list.pth": _archive(data_pkl=b"\x80\x02]q\x00.", version=b"3\n", byteorder=b"little"),
    }


KINDS: dict[str, Callable[[], dict[str, bytes]]] = {
    "images": images,
    "requests": requests,
    "prompts": prompts,
    "checkpoints": checkpoints,
}


def main() -> None:
    """Write every file."""
    for kind, made in KINDS.items():
        (FOLDER / kind).mkdir(parents=True, exist_ok=True)
        for name, content in made().items():
            (FOLDER / kind / name).write_bytes(content)


if __name__ == "__main__":
    main()
