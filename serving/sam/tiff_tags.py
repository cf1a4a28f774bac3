"""What a TIFF says of itself: why it is no picture, and where on Earth it lies."""

from __future__ import annotations

import io
from typing import Any

from PIL.TiffImagePlugin import ImageFileDirectory_v2

_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _BANDS, _FORMAT = 258, 277, 339
_KINDS = {1: "unsigned", 2: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
# GeoTIFF 1.1 (OGC 19-008r4), annexes on tags and keys.
_SCALE, _TIEPOINT, _TRANSFORM, _KEYS = 33550, 33922, 34264, 34735
_RASTER_TYPE_KEY, _GEOGRAPHIC_KEY, _PROJECTED_KEY = 1025, 2048, 3072
_PIXEL_IS_POINT, _USER_DEFINED = 2, 32767


def _tags(data: bytes) -> dict[int, Any]:
    """The tags of the first picture; empty for what is no TIFF, or a damaged one."""
    if not data.startswith(_MAGICS):
        return {}
    try:
        tags = ImageFileDirectory_v2(data[:16] if data[2] == ord("+") or data[3] == ord("+")
                                     else data[:8])  # fmt: skip
        file = io.BytesIO(data)
        file.seek(tags.next)
        tags.load(file)
        return dict(tags)
    except Exception:  # Pillow's readers raise SyntaxError, ValueError, struct.error...
        return {}


def unusual_tiff(data: bytes) -> str:
    """How a TIFF's samples are stored, for a message; empty where the tags do not tell."""
    tags = _tags(data)
    bits = tags.get(_BITS)
    if not bits:
        return ""
    kinds = tags.get(_FORMAT, (1,))
    kind = _KINDS.get(kinds[0] if isinstance(kinds, tuple) else kinds, "unknown")
    bits = sorted(set(bits)) if isinstance(bits, tuple) else [bits]
    bands = int(tags.get(_BANDS, 1))
    return (
        f"{bands} band{'s' if bands > 1 else ''} of {'/'.join(map(str, bits))} bits, {kind} samples"
    )


def read_georeference(data: bytes) -> dict[str, Any] | None:
    """Where the pixels of a GeoTIFF lie.

    Args:
        data: the file's content.

    Returns:
        ``transform``: (a, b, c, d, e, f) with X = a x + b y + c and Y = d x + e y + f for a pixel's
        corner (x, y); ``crs``: the reference system as a URN, empty where it has no EPSG number.
        ``None`` where the file does not say it.
    """
    tags = _tags(data)
    keys = tags.get(_KEYS, ())
    numbers = {keys[i]: keys[i + 3] for i in range(4, len(keys) - 3, 4) if keys[i + 1] == 0}
    matrix, scale, tie = tags.get(_TRANSFORM), tags.get(_SCALE), tags.get(_TIEPOINT)
    if matrix is not None and len(matrix) == 16:
        transform = [float(matrix[i]) for i in (0, 1, 3, 4, 5, 7)]
    elif scale is not None and tie is not None and len(scale) >= 2 and len(tie) == 6:
        a, e = float(scale[0]), -float(scale[1])
        transform = [a, 0.0, tie[3] - a * tie[0], 0.0, e, tie[4] - e * tie[1]]
    else:
        return None
    if numbers.get(_RASTER_TYPE_KEY) == _PIXEL_IS_POINT:  # they are about the pixels' middles
        a, b, c, d, e, f = transform
        transform = [a, b, c - (a + b) / 2, d, e, f - (d + e) / 2]
    epsg = numbers.get(_PROJECTED_KEY) or numbers.get(_GEOGRAPHIC_KEY)
    known = epsg and epsg != _USER_DEFINED
    return {"transform": transform, "crs": f"urn:ogc:def:crs:EPSG::{epsg}" if known else ""}
