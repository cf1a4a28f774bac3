"""Uploads to the bucket: checked, left out where the same content is there, with progress."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import Meter
from serving.sam.checkpoints import file_sha256
from serving.storage import SCHEME, Folder, StorageError, open_parent
from serving.storage.checksums import crc32c_checksum, md5_of_bytes

if TYPE_CHECKING:
    from pipeline.run.input_images import InputImage

_BINARY = "application/octet-stream"


def upload_file(path: Path, uri: str, bar: Meter) -> bool:
    """Send a file to ``gs://bucket/name`` unless the same content is there.

    The object appears when it is complete. The client compares its CRC32C with the file's, and
    keeps the file's SHA-256 as metadata.

    Returns:
        Whether the file was sent.

    Raises:
        OperatorError: the URI names no object, or the bucket refuses it.
    """
    if not uri.startswith(SCHEME) or not uri.removeprefix(SCHEME).partition("/")[2]:
        raise OperatorError(f"{uri!r}: expected gs://bucket/folder", hint="--to gs://bucket/folder")
    try:
        folder, name = open_parent(uri)
        size = path.stat().st_size
        stored = folder.stat(name)
        if (
            stored is not None
            and stored.size_bytes == size
            and stored.crc32c == crc32c_checksum(path)
        ):
            return False
        metadata = {"sha256": file_sha256(path)}
        folder.upload(name, path, _BINARY, metadata=metadata, progress=bar.update)
        bar.update(size, size)
    except (StorageError, OSError) as error:
        raise OperatorError(
            f"cannot upload to {uri}: {error}",
            hint="check the bucket, and that you may write there (roles/storage.objectUser)",
            exit_code=CLOUD,
        ) from error
    return True


def upload_images(images: Sequence[InputImage], folder: Folder, bar: Meter) -> int:
    """Send images to a folder under their names unless the same content is there.

    Not with the client's ``transfer_manager``: an image may come from another bucket, and the
    meter moves with each.

    Returns:
        How many were sent.

    Raises:
        StorageError: an image cannot be read or written.
    """
    from pipeline.ordered_map import ordered_map

    digests = {file.name: file.digest for file in folder.files()}

    def send(image: InputImage) -> bool:
        content = image.folder.read_bytes(image.file)
        if digests.get(image.name) == md5_of_bytes(content):
            return False
        folder.write_bytes(image.name, content, _media_type(image.name))
        return True

    sent = 0
    for number, was_sent in enumerate(ordered_map(send, images, folder.readers), start=1):
        sent += was_sent
        bar.update(number, len(images), f"{sent} sent")
    return sent


def _media_type(name: str) -> str:
    return mimetypes.guess_type(name, strict=False)[0] or _BINARY  # WebP is not in the strict list
