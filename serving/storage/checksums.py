"""Digests of local files, in the forms that Cloud Storage keeps of its objects."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

_BLOCK_BYTES = 8 << 20


def md5_digest(path: Path | str) -> str:
    """Return ``md5:<hex>`` of a file; OSError where it cannot be read."""
    with open(path, "rb") as file:
        return "md5:" + hashlib.file_digest(file, _md5).hexdigest()


def md5_of_bytes(content: bytes) -> str:
    """Return ``md5:<hex>`` of bytes."""
    return "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()


def crc32c_checksum(path: Path) -> str:
    """Return the CRC32C of a file, base64; OSError where it cannot be read."""
    from google_crc32c import Checksum

    checksum = Checksum()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            checksum.update(block)
    return base64.b64encode(checksum.digest()).decode()


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)
