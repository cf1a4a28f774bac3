"""Files in a local folder or a Cloud Storage bucket, by one small interface.

A write is all or nothing on both sides: a bucket's object appears when its upload is complete, a
local file when its finished copy is renamed into place.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import ClassVar

SCHEME = "gs://"
WORK = ".run"  # inside a run's output: plans, progress and half-written files


class StorageError(Exception):
    """A file or folder cannot be read or written; the message names it and the reason."""

    callers_fault: ClassVar[bool] = True
    hint: ClassVar[str] = "check that it exists and that you may read or write it"


class BucketError(StorageError):
    """A bucket or object cannot be read or written: Cloud Storage, its grants or the network."""

    callers_fault = False


@dataclasses.dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a listing.

    Attributes:
        name: its path below the folder, with forward slashes.
        size_bytes: its length.
        digest: as :meth:`Folder.digest`; empty where the listing does not say it.
    """

    name: str
    size_bytes: int
    digest: str = ""


class Folder(abc.ABC):
    """A place that holds files; names are relative, with forward slashes.

    Attributes:
        uri: the local path or ``gs://`` URI.
        readers: how many files are best asked for at once.
    """

    readers = 1

    def __init__(self, uri: str) -> None:
        self.uri = uri

    @abc.abstractmethod
    def files(self, prefix: str = "") -> Iterator[StoredFile]:
        """All files whose name begins with ``prefix``, in subfolders too, by name."""

    @abc.abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    @abc.abstractmethod
    def read_bytes(self, name: str) -> bytes:
        """A file's content; StorageError where it cannot be read."""

    @abc.abstractmethod
    def read_head(self, name: str, length: int) -> bytes:
        """The first bytes of a file, fewer where it is shorter; StorageError likewise."""

    def version(self, name: str) -> int:
        """A number that changes with every write of a file; 0 where there is none.

        This and :meth:`create` are a bucket's means against two writers; a local folder has locks.
        """
        raise NotImplementedError

    def create(self, name: str, content: bytes, over: int = 0) -> bool:
        """Write a file if its version is still ``over``, 0 for none; whether it was written."""
        raise NotImplementedError

    @abc.abstractmethod
    def write_bytes(self, name: str, content: bytes, content_type: str) -> None:
        """Create or replace a file, all or nothing."""

    @abc.abstractmethod
    def write_from(self, name: str, path: Path, content_type: str) -> None:
        """Move a finished local file to this place, all or nothing."""

    @abc.abstractmethod
    def download(self, name: str, path: Path) -> None:
        """Copy a file, of any size, to a local path."""

    @abc.abstractmethod
    def delete(self, name: str) -> None:
        """Remove a file; a missing one is no error."""

    @abc.abstractmethod
    def delete_folder(self, name: str) -> None:
        """Remove a subfolder with everything in it; a missing one is no error."""

    @abc.abstractmethod
    def digest(self, name: str) -> str:
        """The content's digest as ``md5:<hex>`` (``crc32c:<base64>`` of a composite object)."""

    @abc.abstractmethod
    def uri_of(self, name: str) -> str:
        """The full path or ``gs://`` URI of a file."""


def safe_path(name: str) -> PurePosixPath:
    """A file's name as a relative path; StorageError where it would lead outside."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise StorageError(f"{name!r}: expected a name below the folder")
    return path
