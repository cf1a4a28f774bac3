"""Files in a local folder or a Cloud Storage bucket, by one small interface.

Everything that reads or writes objects goes through this package: the pipeline, the container, the
uploads and the rehearsal's journey.
"""

from __future__ import annotations

from pathlib import Path

from serving.storage.errors import BucketError, FullDiskError, StorageError, local_error
from serving.storage.folder import SCHEME, WORK, Folder, StoredFile, safe_path
from serving.storage.local import LocalFolder
from serving.storage.patience import Patience

__all__ = [
    "SCHEME",
    "WORK",
    "BucketError",
    "Folder",
    "FullDiskError",
    "LocalFolder",
    "Patience",
    "StorageError",
    "StoredFile",
    "local_error",
    "open_folder",
    "open_parent",
    "safe_path",
]


def open_folder(uri: str, patience: Patience | None = None) -> Folder:
    """Return the folder of a local path or a ``gs://`` URI, without creating or reading it.

    Args:
        uri: the folder.
        patience: how long to wait for Cloud Storage; the default outlives its bad minutes.

    Raises:
        StorageError: the URI names no bucket, or this machine has no credentials for one.
    """
    if uri.startswith(SCHEME):
        # Here, since it loads the cloud's client.
        from serving.storage.bucket import BucketFolder

        return BucketFolder(uri, patience)
    if "://" in uri:
        raise StorageError(
            f"{uri!r}: expected a local path or a gs:// URI",
            hint="other stores are not read or written; copy the files to this machine or a bucket",
        )
    return LocalFolder(Path(uri).expanduser().absolute())


def open_parent(uri: str) -> tuple[Folder, str]:
    """Return the folder that a file lies in, and the file's name there.

    Raises:
        StorageError: as :func:`open_folder`.
    """
    if uri.startswith(SCHEME):
        bucket, _, full_name = uri.removeprefix(SCHEME).partition("/")
        # An object's name may hold "//"; a folder's does not end with "/", so a file's begins so.
        parent = full_name.rpartition("/")[0].rstrip("/")
        name = full_name[len(parent) + bool(parent) :]
        return open_folder(f"{SCHEME}{bucket}/{parent}"), name
    folder = open_folder(uri)
    path = Path(folder.uri)
    return LocalFolder(path.parent), path.name
