"""Objects in Cloud Storage, as the container reads and writes them.

What a request names is trusted as far as the settings' prefixes go and no further: the container
acts as its service account, not as the client.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from serving.errors import ArtifactsError, RequestError, Unavailable

SCHEME = "gs://"


@functools.cache
def _client() -> Any:
    from google.cloud import storage

    return storage.Client()


def split_uri(uri: str) -> tuple[str, str]:
    """Return bucket and object name of a ``gs://`` URI."""
    bucket, _, name = uri.removeprefix(SCHEME).partition("/")
    return bucket, name


def check_allowed(uri: str, prefixes: tuple[str, ...], place: str, setting: str) -> None:
    """Refuse a URI outside the folders that requests may name.

    Raises:
        RequestError: 400, no ``gs://`` URI, ``..`` in it, or outside the allowed folders.
    """
    bucket, name = split_uri(uri)
    parts = name.split("/")
    strange = any(ord(character) < 32 for character in uri) or len(uri) > 1100
    if not uri.startswith(SCHEME) or not bucket or ".." in parts or "." in parts or strange:
        raise RequestError(f"{place}: expected gs://bucket/name, got {uri[:80]!r}")
    if not prefixes:
        raise RequestError(f"{place}: this server takes no gs:// here ({setting} is not set)")
    if not uri.startswith(prefixes):
        raise RequestError(f"{place}: this server may only use {', '.join(prefixes)} here")


def read_object(uri: str, limit: int, place: str) -> bytes:
    """Return an object's content.

    Raises:
        RequestError: 400, it does not exist, cannot be read, or is larger than ``limit`` bytes.
        Unavailable: 503, Cloud Storage does not answer.
    """
    from google.api_core.exceptions import GoogleAPICallError, NotFound, RetryError
    from requests.exceptions import RequestException

    bucket, name = split_uri(uri)
    try:
        blob = _client().bucket(bucket).blob(name)
        blob.reload(timeout=10)
        if (blob.size or 0) > limit:
            raise RequestError(f"{place}: {blob.size} bytes, more than the limit of {limit}", 413)
        return bytes(blob.download_as_bytes(timeout=30))
    except NotFound as error:
        raise RequestError(f"{place}: {uri} does not exist; check bucket and name") from error
    except GoogleAPICallError as error:
        if error.code is not None and 400 <= error.code < 500 and error.code != 429:
            raise RequestError(
                f"{place}: {uri} cannot be read ({error.code}); grant the endpoint's service "
                "account roles/storage.objectViewer on its folder"
            ) from error
        raise Unavailable(f"{place}: Cloud Storage answers {error.code}; try again") from error
    except (RetryError, RequestException) as error:
        raise Unavailable(f"{place}: Cloud Storage does not answer; try again") from error


def write_object(uri: str, content: bytes, place: str) -> None:
    """Create or replace a JSON object.

    Raises:
        RequestError: 400, it may not be written.
        Unavailable: 503, Cloud Storage does not answer.
    """
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from requests.exceptions import RequestException

    bucket, name = split_uri(uri)
    try:
        blob = _client().bucket(bucket).blob(name)
        blob.upload_from_string(content, content_type="application/json", timeout=60)
    except GoogleAPICallError as error:
        if error.code is not None and 400 <= error.code < 500 and error.code != 429:
            raise RequestError(f"{place}: {uri} cannot be written ({error.code})") from error
        raise Unavailable(f"{place}: Cloud Storage answers {error.code}; try again") from error
    except (RetryError, RequestException) as error:
        raise Unavailable(f"{place}: Cloud Storage does not answer; try again") from error


def list_folder(uri: str) -> dict[str, int]:
    """Names and sizes of the objects directly in a folder; ArtifactsError where it fails."""
    bucket, name = split_uri(uri.rstrip("/") + "/")
    try:
        blobs = _client().list_blobs(bucket, prefix=name, delimiter="/")
        return {blob.name.removeprefix(name): int(blob.size or 0) for blob in blobs}
    except Exception as error:  # whatever it is, the container cannot start without
        raise ArtifactsError(f"{uri}: cannot be listed ({error})") from error


def download(uri: str, path: Path) -> None:
    """Copy an object, of any size, to a file; the client compares its checksum."""
    bucket, name = split_uri(uri)
    try:
        _client().bucket(bucket).blob(name).download_to_filename(str(path))
    except Exception as error:
        raise ArtifactsError(f"{uri}: cannot be downloaded ({error})") from error
