"""A folder of a Cloud Storage bucket behind the interface of :mod:`serving.storage.folder`.

The official client does the work and honours ``STORAGE_EMULATOR_HOST``. It retries what is worth
retrying; writes too, which it leaves alone by default: a name always gets the same content here, so
writing twice is as good as once.
"""

from __future__ import annotations

import base64
import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.storage.folder import SCHEME, BucketError, Folder, StorageError, StoredFile, safe_path

if TYPE_CHECKING:
    from google.cloud import storage as gcs


RETRY_SECONDS = 300.0  # a storage that answers 429, 503 or nothing for so long is lost


class BucketFolder(Folder):
    """A folder of a Cloud Storage bucket, ``gs://bucket/path``."""

    readers = 6  # with the images that are read meanwhile, what the client keeps connections for

    def __init__(self, uri: str) -> None:
        super().__init__(uri.rstrip("/"))
        bucket, _, path = uri.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise StorageError(f"{uri!r}: expected gs://bucket/folder")
        self._bucket = _client().bucket(bucket)
        self._prefix = f"{path.strip('/')}/" if path.strip("/") else ""

    def _blob(self, name: str) -> gcs.Blob:
        safe_path(name)
        return self._bucket.blob(self._prefix + name)  # as it is: "a//b" is not "a/b" here

    def files(self, prefix: str = "") -> Iterator[StoredFile]:
        with _translated(self.uri):
            fields = "items(name,size,md5Hash,crc32c),nextPageToken"
            listed = self._bucket.list_blobs(
                prefix=self._prefix + prefix, fields=fields, retry=_retry()
            )
            for blob in listed:
                name = blob.name.removeprefix(self._prefix)
                # ".." is no parent here but a name like any other, if an unusual one
                hidden = any(p.startswith(".") and p != ".." for p in name.split("/"))
                if name and not name.endswith("/") and not hidden:
                    yield StoredFile(name, int(blob.size or 0), _digest(blob))

    def exists(self, name: str) -> bool:
        with _translated(self.uri_of(name)):
            return bool(self._blob(name).exists(retry=_retry()))

    def read_bytes(self, name: str) -> bytes:
        with _translated(self.uri_of(name)):
            return bytes(self._blob(name).download_as_bytes(retry=_retry()))

    def read_head(self, name: str, length: int) -> bytes:
        from google.api_core.exceptions import RequestRangeNotSatisfiable

        with _translated(self.uri_of(name)):
            blob = self._blob(name)
            try:
                return bytes(blob.download_as_bytes(end=length - 1, retry=_retry()))[:length]
            except RequestRangeNotSatisfiable:  # an empty object has no first byte
                return b""

    def version(self, name: str) -> int:
        with _translated(self.uri_of(name)):
            blob = self._bucket.get_blob(self._blob(name).name, retry=_retry())
            return int(blob.generation) if blob is not None else 0

    def create(self, name: str, content: bytes, over: int = 0) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        with _translated(self.uri_of(name)):
            try:
                self._blob(name).upload_from_string(
                    content, if_generation_match=over, retry=_retry(), checksum=None
                )
            except PreconditionFailed:
                # The answer to a first try may have been lost: then it is ours after all.
                try:
                    return self.read_bytes(name) == content
                except StorageError:  # and gone again: whoever wrote it was not us
                    return False
        return True

    def write_bytes(self, name: str, content: bytes, content_type: str) -> None:
        with _translated(self.uri_of(name)):
            self._blob(name).upload_from_string(content, content_type=content_type, retry=_retry())

    def write_from(self, name: str, path: Path, content_type: str) -> None:
        with _translated(self.uri_of(name)):
            blob = self._blob(name)
            blob.upload_from_filename(str(path), content_type=content_type, retry=_retry())
        path.unlink()

    def download(self, name: str, path: Path) -> None:
        with _translated(self.uri_of(name)):
            self._blob(name).download_to_filename(str(path), retry=_retry())

    def delete(self, name: str) -> None:
        from google.api_core.exceptions import NotFound

        with _translated(self.uri_of(name)), contextlib.suppress(NotFound):
            self._blob(name).delete(retry=_retry())

    def delete_folder(self, name: str) -> None:
        from google.api_core.exceptions import NotFound

        with _translated(self.uri_of(name)):
            prefix = f"{self._prefix}{safe_path(name)}/"
            for blob in self._bucket.list_blobs(prefix=prefix, retry=_retry()):
                with contextlib.suppress(NotFound):  # a retried deletion finds nothing more
                    blob.delete(retry=_retry())

    def digest(self, name: str) -> str:
        with _translated(self.uri_of(name)):
            blob = self._blob(name)
            blob.reload(retry=_retry())
            return _digest(blob)

    def uri_of(self, name: str) -> str:
        return f"{self.uri}/{safe_path(name)}"


def _digest(blob: gcs.Blob) -> str:
    if blob.md5_hash:
        return "md5:" + base64.b64decode(blob.md5_hash).hex()
    return f"crc32c:{blob.crc32c}" if blob.crc32c else ""


def _retry() -> Any:
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(RETRY_SECONDS).with_delay(initial=0.5, maximum=20.0)


class _translated:
    """Turn what the client raises into a BucketError that names the object."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        if isinstance(error, GoogleAPICallError):
            raise BucketError(f"{self._place}: {error.message}") from error
        if isinstance(error, RetryError | GoogleAuthError | RequestException):
            raise BucketError(f"{self._place}: {error}") from error


@functools.cache
def _client() -> gcs.Client:
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import storage

    try:
        return storage.Client()
    except DefaultCredentialsError as error:
        raise BucketError(
            "no Google Cloud credentials on this machine; run "
            "'gcloud auth application-default login', or use local folders"
        ) from error
