"""A folder of a Cloud Storage bucket behind the interface of :mod:`serving.storage.folder`."""

from __future__ import annotations

import base64
import contextlib
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from google.api_core.exceptions import (
    NotFound,
    PreconditionFailed,
    RequestRangeNotSatisfiable,
)
from google.cloud import storage

from serving.storage.client import bucket_errors, retry_policy, storage_client
from serving.storage.errors import StorageError
from serving.storage.folder import SCHEME, WORK, Folder, ProgressCallback, StoredFile
from serving.storage.patience import Patience

CHUNK_BYTES = 8 << 20  # the client sends each chunk again when a connection breaks
_SHORT_TEXT = "sam-text"  # of an object's custom metadata
_LISTED_FIELDS = "items(name,size,md5Hash,crc32c),nextPageToken"


class BucketFolder(Folder):
    """A folder of a Cloud Storage bucket, ``gs://bucket/path``.

    An object's name is text, not a path: ``a//b``, ``a/../b`` and ``a/b`` are three objects, so the
    folder hands every name on as it is.

    Args:
        uri: the folder.
        patience: how long to wait for Cloud Storage.

    Raises:
        StorageError: the URI names no bucket, or this machine has no credentials.
    """

    is_local = False
    readers = 6  # with the images that are read meanwhile, what the client keeps connections for
    progress_seconds = 5.0

    def __init__(self, uri: str, patience: Patience | None = None) -> None:
        super().__init__(uri.rstrip("/"))
        bucket, _, path = self.uri.removeprefix(SCHEME).partition("/")
        if not bucket or not self.uri.startswith(SCHEME):
            raise StorageError(f"{uri!r}: expected gs://bucket/folder")
        self._bucket = storage_client().bucket(bucket)
        self._prefix = f"{path}/" if path else ""
        patience = patience or Patience()
        self._waiting: dict[str, Any] = {
            "retry": retry_policy(patience),
            "timeout": patience.request_seconds,
        }

    def _blob(self, name: str, chunk_size: int | None = None) -> storage.Blob:
        return self._bucket.blob(self._object_name(name), chunk_size=chunk_size)

    def _object_name(self, name: str) -> str:
        full = self._prefix + name
        # Cloud Storage has no objects "." and "..": HTTP takes them for parts of the address.
        if not name or "\0" in name or full in (".", ".."):
            raise StorageError(f"{name!r}: expected the name of an object below {self.uri}")
        return full

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        self.before_write()
        with bucket_errors(self.uri_of(name)):
            yield

    def files(self, prefix: str = "", *, nested: bool = True) -> Iterator[StoredFile]:
        with bucket_errors(self.uri):
            listed = self._bucket.list_blobs(
                prefix=self._prefix + prefix,
                fields=_LISTED_FIELDS,
                delimiter=None if nested else "/",
                **self._waiting,
            )
            for blob in listed:
                name = blob.name.removeprefix(self._prefix)
                below = name.removeprefix(prefix.rpartition("/")[0])  # which the caller has named
                # "." and ".." are no folders here but names like any others, if unusual ones
                hidden = any(
                    part.startswith(".") and part not in (".", "..") for part in below.split("/")
                )
                if name and not name.endswith("/") and not hidden:
                    yield _stored_file(name, blob)

    def exists(self, name: str) -> bool:
        with bucket_errors(self.uri_of(name)):
            return bool(self._blob(name).exists(**self._waiting))

    def stat(self, name: str) -> StoredFile | None:
        with bucket_errors(self.uri_of(name)):
            blob = self._bucket.get_blob(self._object_name(name), **self._waiting)
            return None if blob is None else _stored_file(name, blob)

    def read_bytes(self, name: str) -> bytes:
        with bucket_errors(self.uri_of(name)):
            return bytes(self._blob(name).download_as_bytes(**self._waiting))

    def read_head(self, name: str, length: int) -> bytes:
        with bucket_errors(self.uri_of(name)):
            blob = self._blob(name)
            try:
                return bytes(blob.download_as_bytes(end=length - 1, **self._waiting))[:length]
            except RequestRangeNotSatisfiable:  # an empty object has no first byte
                return b""

    def create(self, name: str, content: bytes, replacing: int = 0) -> bool:
        with self._writing(name):
            try:
                self._blob(name).upload_from_string(
                    content, if_generation_match=replacing, checksum=None, **self._waiting
                )
            except PreconditionFailed:
                # The answer to a first try may have been lost: then the object is ours after all.
                try:
                    return self.read_bytes(name) == content
                except StorageError:  # somebody else wrote it, and has removed it again
                    return False
        return True

    def write_bytes(self, name: str, content: bytes, content_type: str) -> None:
        with self._writing(name):
            blob = self._blob(name)
            blob.upload_from_string(content, content_type=content_type, **self._waiting)

    def write_short_text(self, name: str, text: str) -> None:
        with self._writing(name):
            blob = self._blob(name)
            blob.metadata = {_SHORT_TEXT: text}  # a listing hands it out, and not the content
            blob.upload_from_string(text, content_type="text/plain; charset=utf-8", **self._waiting)

    def short_texts(self, folder: str) -> dict[str, str]:
        with bucket_errors(self.uri_of(folder)):
            listed = self._bucket.list_blobs(
                prefix=f"{self._object_name(folder)}/",
                fields="items(name,metadata),nextPageToken",
                **self._waiting,
            )
            return {
                blob.name.removeprefix(self._prefix): blob.metadata[_SHORT_TEXT]
                for blob in listed
                if _SHORT_TEXT in (blob.metadata or {})
            }

    def write_from(self, name: str, path: Path, content_type: str) -> None:
        with self._writing(name):
            blob = self._blob(name)
            blob.upload_from_filename(str(path), content_type=content_type, **self._waiting)
        path.unlink()

    def upload(
        self,
        name: str,
        path: Path,
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> None:
        # Resumable, chunk by chunk. The parallel upload of the client's transfer_manager speaks
        # the XML API, which the storage stand-in does not.
        total = path.stat().st_size
        with self._writing(name), path.open("rb") as file:
            blob = self._blob(name, CHUNK_BYTES)
            blob.metadata = dict(metadata or {})
            blob.upload_from_file(
                _CountingReader(file, total, progress),
                size=total,
                content_type=content_type,
                checksum="crc32c",
                **self._waiting,
            )

    def download(self, name: str, path: Path) -> None:
        with bucket_errors(self.uri_of(name)):
            self._blob(name).download_to_filename(str(path), **self._waiting)

    def delete(self, name: str, *, generation: int = 0) -> None:
        with (
            self._writing(name),
            contextlib.suppress(NotFound, PreconditionFailed),
        ):
            self._blob(name).delete(if_generation_match=generation or None, **self._waiting)

    def delete_folder(self, name: str) -> None:
        with self._writing(name):
            prefix = f"{self._object_name(name)}/"
            blobs = self._bucket.list_blobs(prefix=prefix, **self._waiting)
            with ThreadPoolExecutor(self.readers) as pool:
                for _ in pool.map(self._delete, blobs):
                    pass

    def _delete(self, blob: storage.Blob) -> None:
        with contextlib.suppress(NotFound):  # a retried deletion finds nothing more
            blob.delete(**self._waiting)

    def digest(self, name: str) -> str:
        with bucket_errors(self.uri_of(name)):
            blob = self._blob(name)
            blob.reload(**self._waiting)
            return _digest(blob)

    def clock(self) -> float:
        # The client hands on no header of a reply, so a small object tells what time it is there.
        name = f"{WORK}/clock-{secrets.token_hex(6)}"
        with self._writing(name):
            blob = self._blob(name)
            blob.upload_from_string(b"", **self._waiting)
            with contextlib.suppress(NotFound):  # a retried deletion
                blob.delete(**self._waiting)
            return _seconds(blob)

    def uri_of(self, name: str) -> str:
        return f"{self.uri}/{name}"


def _stored_file(name: str, blob: storage.Blob) -> StoredFile:
    return StoredFile(
        name=name,
        size_bytes=int(blob.size or 0),
        digest=_digest(blob),
        crc32c=blob.crc32c or "",
        generation=int(blob.generation or 0),
        updated=_seconds(blob),
    )


def _seconds(blob: storage.Blob) -> float:
    """When an object was written, since 1970; 0 where the reply does not tell."""
    written = blob.updated
    return float(written.timestamp()) if written is not None else 0.0


def _digest(blob: storage.Blob) -> str:
    if blob.md5_hash:
        return "md5:" + base64.b64decode(blob.md5_hash).hex()
    return f"crc32c:{blob.crc32c}" if blob.crc32c else ""


class _CountingReader:
    """A file that reports how far the client has read it."""

    def __init__(self, file: IO[bytes], total: int, progress: ProgressCallback | None) -> None:
        self._file, self._total, self._progress = file, total, progress

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        if self._progress is not None:
            self._progress(self._file.tell(), self._total)
        return block

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
