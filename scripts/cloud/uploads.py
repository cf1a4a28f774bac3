"""Uploads of large files to a bucket: resumable, verified, with progress."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import Meter
from serving.sam.checkpoints import file_sha256

CHUNK_BYTES = 8 << 20  # each is sent again by itself when a connection breaks


class _Counted:
    """A file that tells how far it was read."""

    def __init__(self, file: Any, total: int, bar: Meter) -> None:
        self._file, self._total, self._bar = file, total, bar

    def read(self, size: int = -1) -> bytes:
        block: bytes = self._file.read(size)
        self._bar.update(self._file.tell(), self._total)
        return block

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def upload_file(path: Path, uri: str, bar: Meter) -> bool:
    """Send a file to ``gs://bucket/name`` unless the same content is there.

    The object appears when it is complete; its CRC32C is compared by the client, its SHA-256 is
    kept as metadata.

    Returns:
        Whether anything was sent.

    Raises:
        OperatorError: the bucket cannot be written.
    """
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage
    from google_crc32c import Checksum
    from requests.exceptions import RequestException

    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not name:
        raise OperatorError(f"{uri!r}: expected gs://bucket/folder", hint="--to gs://bucket/folder")
    checksum = Checksum()
    with path.open("rb") as file:
        while block := file.read(CHUNK_BYTES):
            checksum.update(block)
    digest = base64.b64encode(checksum.digest()).decode()
    total = path.stat().st_size
    try:
        blob = storage.Client().bucket(bucket).get_blob(name)
        if blob is not None and blob.crc32c == digest and blob.size == total:
            return False
        blob = storage.Client().bucket(bucket).blob(name, chunk_size=CHUNK_BYTES)
        blob.metadata = {"sha256": file_sha256(path)}
        with path.open("rb") as file:
            blob.upload_from_file(_Counted(file, total, bar), size=total, checksum="crc32c")
        bar.update(total, total)
    except (GoogleAPICallError, GoogleAuthError, RequestException, OSError) as error:
        raise OperatorError(
            f"cannot upload to {uri}: {error}",
            hint="check the bucket, and that you may write there (roles/storage.objectUser)",
            exit_code=CLOUD,
        ) from error
    return True
