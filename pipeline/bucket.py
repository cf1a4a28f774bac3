"""A folder of a Cloud Storage bucket behind the interface of :mod:`pipeline.storage`.

The official client does the work: it retries what is worth retrying and honours
``STORAGE_EMULATOR_HOST``.
"""

from __future__ import annotations

import base64
import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.storage import SCHEME, Folder, StorageError, StoredFile, safe_path

if TYPE_CHECKING:
    from google.cloud import storage as gcs


class BucketFolder(Folder):
    """A folder of a Cloud Storage bucket, ``gs://bucket/path``."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri.rstrip("/"))
        bucket, _, path = uri.removeprefix(SCHEME).partition("/")
        if not bucket:
            raise StorageError(f"{uri!r}: expected gs://bucket/folder")
        self._bucket = _client().bucket(bucket)
        self._prefix = f"{path.strip('/')}/" if path.strip("/") else ""

    def _blob(self, name: str) -> gcs.Blob:
        return self._bucket.blob(self._prefix + str(safe_path(name)))

    def files(self, prefix: str = "") -> Iterator[StoredFile]:
        with _translated(self.uri):
            for blob in self._bucket.list_blobs(prefix=self._prefix + prefix):
                name = blob.name.removeprefix(self._prefix)
                hidden = any(part.startswith(".") for part in name.split("/"))
                if name and not name.endswith("/") and not hidden:
                    yield StoredFile(name, int(blob.size or 0))

    def exists(self, name: str) -> bool:
        with _translated(self.uri_of(name)):
            return bool(self._blob(name).exists())

    def read_bytes(self, name: str) -> bytes:
        with _translated(self.uri_of(name)):
            return bytes(self._blob(name).download_as_bytes())

    def write_bytes(self, name: str, content: bytes, content_type: str) -> None:
        with _translated(self.uri_of(name)):
            self._blob(name).upload_from_string(content, content_type=content_type)

    def write_from(self, name: str, path: Path, content_type: str) -> None:
        with _translated(self.uri_of(name)):
            self._blob(name).upload_from_filename(str(path), content_type=content_type)
        path.unlink()

    def download(self, name: str, path: Path) -> None:
        with _translated(self.uri_of(name)):
            self._blob(name).download_to_filename(str(path))

    def delete(self, name: str) -> None:
        from google.api_core.exceptions import NotFound

        with _translated(self.uri_of(name)), contextlib.suppress(NotFound):
            self._blob(name).delete()

    def delete_folder(self, name: str) -> None:
        with _translated(self.uri_of(name)):
            for blob in self._bucket.list_blobs(prefix=f"{self._prefix}{safe_path(name)}/"):
                blob.delete()

    def digest(self, name: str) -> str:
        with _translated(self.uri_of(name)):
            blob = self._blob(name)
            blob.reload()
            if blob.md5_hash:
                return "md5:" + base64.b64decode(blob.md5_hash).hex()
            return f"crc32c:{blob.crc32c}"

    def uri_of(self, name: str) -> str:
        return f"{self.uri}/{safe_path(name)}"


class _translated:
    """Turn what the client raises into a StorageError that names the place."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        if isinstance(error, GoogleAPICallError):
            raise StorageError(f"{self._place}: {error.message}") from error
        if isinstance(error, RetryError | GoogleAuthError | RequestException):
            raise StorageError(f"{self._place}: {error}") from error


@functools.cache
def _client() -> gcs.Client:
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud import storage

    try:
        return storage.Client()
    except DefaultCredentialsError as error:
        raise StorageError(
            "no Google Cloud credentials on this machine; run "
            "'gcloud auth application-default login', or use local folders"
        ) from error
