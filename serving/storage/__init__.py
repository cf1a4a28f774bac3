"""Files in a local folder or a Cloud Storage bucket, by one small interface.

Everything that reads or writes objects goes through this package: the pipeline, the container, the
uploads and the rehearsal's journey.
"""

from __future__ import annotations

from pathlib import Path

from serving.storage.folder import (
    SCHEME,
    WORK,
    BucketError,
    Folder,
    StorageError,
    StoredFile,
    safe_path,
)
from serving.storage.local import LocalFolder

__all__ = [
    "SCHEME",
    "WORK",
    "BucketError",
    "Folder",
    "LocalFolder",
    "StorageError",
    "StoredFile",
    "open_folder",
    "safe_path",
]


def open_folder(place: str) -> Folder:
    """Return the folder of a local path or a ``gs://`` URI; nothing is created or looked up.

    Raises:
        StorageError: the URI names no bucket, or no credentials are found for one.
    """
    if place.startswith(SCHEME):
        from serving.storage.bucket import (
            BucketFolder,  # loads the cloud's client only where it is used
        )

        return BucketFolder(place)
    if "://" in place:
        raise StorageError(f"{place!r}: expected a local path or a gs:// URI")
    return LocalFolder(Path(place).expanduser().absolute())
