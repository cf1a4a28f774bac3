"""Which objects of Cloud Storage a request may name, and how a failure reads to the client.

The container trusts what a request names as far as the settings' prefixes go and no further: it
acts as its service account, not as the client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from serving.errors import RequestError, Unavailable
from serving.storage import SCHEME, BucketError, Folder, Patience, StorageError, open_folder

_MOST_URI_CHARACTERS = 1100  # bucket and object names of Cloud Storage are shorter
_TOO_MANY_REQUESTS = 429
# Somebody waits for the reply, and can ask again.
_PATIENCE = Patience(request_seconds=30.0, total_seconds=60.0)


def check_allowed(uri: str, prefixes: tuple[str, ...], field: str, setting: str) -> None:
    """Refuse a URI outside the folders that requests may name.

    Args:
        uri: as the request gives it.
        prefixes: the folders.
        field: where it stands in the request, for messages.
        setting: the name of the setting with the folders, for messages.

    Raises:
        RequestError: 400, no ``gs://`` URI, ``..`` in it, or outside the allowed folders.
    """
    bucket, name = _split(uri)
    parts = name.split("/")
    strange = any(ord(character) < 32 for character in uri) or len(uri) > _MOST_URI_CHARACTERS
    if not uri.startswith(SCHEME) or not bucket or ".." in parts or "." in parts or strange:
        raise RequestError(f"{field}: expected gs://bucket/name, got {uri[:80]!r}")
    if not prefixes:
        raise RequestError(f"{field}: this server takes no gs:// here ({setting} is not set)")
    if not uri.startswith(prefixes):
        raise RequestError(f"{field}: this server may only use {', '.join(prefixes)} here")


def read_object(uri: str, limit: int, field: str) -> bytes:
    """Return an object's content.

    Raises:
        RequestError: 400, it does not exist or cannot be read; 413, it has more than ``limit``
            bytes.
        Unavailable: 503, Cloud Storage does not answer.
    """
    way_out = "; grant the endpoint's service account roles/storage.objectViewer on its folder"
    with _refusals(uri, field, "read", way_out):
        folder, name = _open(uri)
        stored = folder.stat(name)
        if stored is None:
            raise RequestError(f"{field}: {uri} does not exist; check bucket and name")
        if stored.size_bytes > limit:
            raise RequestError(
                f"{field}: {stored.size_bytes} bytes, more than the limit of {limit}", 413
            )
        return folder.read_bytes(name)


def write_object(uri: str, content: bytes, field: str) -> None:
    """Create an object; one that exists is never replaced.

    Raises:
        RequestError: 400, it may not be written; 409, it exists with another content.
        Unavailable: 503, Cloud Storage does not answer.
    """
    with _refusals(uri, field, "written"):
        folder, name = _open(uri)
        if not folder.create(name, content):
            raise RequestError(f"{field}: {uri} exists already; name another output_uri", 409)


def _split(uri: str) -> tuple[str, str]:
    bucket, _, name = uri.removeprefix(SCHEME).partition("/")
    return bucket, name


def _open(uri: str) -> tuple[Folder, str]:
    """The bucket, and the object's name as the request gives it."""
    bucket, name = _split(uri)
    return open_folder(f"{SCHEME}{bucket}", _PATIENCE), name


@contextlib.contextmanager
def _refusals(uri: str, field: str, verb: str, way_out: str = "") -> Iterator[None]:
    """Turn a StorageError into the reply that the client gets."""
    try:
        yield
    except BucketError as error:
        if error.status is None:
            raise Unavailable(
                f"{field}: Cloud Storage gives no answer that can be used; try again"
            ) from error
        if 400 <= error.status < 500 and error.status != _TOO_MANY_REQUESTS:
            raise RequestError(
                f"{field}: {uri} cannot be {verb} ({error.status}){way_out}"
            ) from error
        raise Unavailable(f"{field}: Cloud Storage answers {error.status}; try again") from error
    except StorageError as error:
        raise RequestError(f"{field}: {error}") from error
