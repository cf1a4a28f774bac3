"""Files in a local folder or a Cloud Storage bucket, by one small interface.

The bucket's side is in :mod:`pipeline.bucket`. A write is all or nothing on both sides: a bucket's
object appears when its upload is complete, a local file when its finished copy is renamed into
place.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

SCHEME = "gs://"
WORK = ".run"  # inside a run's output: plans, progress and half-written files


class StorageError(Exception):
    """A place cannot be read or written; the message names it and the reason."""


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


class LocalFolder(Folder):
    """A folder on this machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def _path(self, name: str) -> Path:
        return self.path / safe_path(name)

    def files(self, prefix: str = "") -> Iterator[StoredFile]:
        """Hidden files and folders are left out."""
        start = self.path / PurePosixPath(prefix).parent if "/" in prefix else self.path
        if prefix.endswith("/"):
            start = self._path(prefix)
        for parent, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(parent, name)
                relative = path.relative_to(self.path).as_posix()
                if relative.startswith(prefix) and not name.startswith(".") and path.is_file():
                    yield StoredFile(relative, path.stat().st_size)

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def read_bytes(self, name: str) -> bytes:
        try:
            return self._path(name).read_bytes()
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror or error}") from error

    def read_head(self, name: str, length: int) -> bytes:
        try:
            with self._path(name).open("rb") as file:
                return file.read(length)
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror or error}") from error

    def write_bytes(self, name: str, content: bytes, content_type: str) -> None:
        partial = self._partial()
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StorageError(f"{self._path(name)}: {error.strerror or error}") from error
        self.write_from(name, partial, content_type)

    def write_from(self, name: str, path: Path, content_type: str) -> None:
        target = self._path(name)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.replace(target)
            except OSError:  # another file system: bring it here first, then rename
                partial = self._partial()
                partial.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, partial)
                partial.replace(target)
                path.unlink()
        except OSError as error:
            raise StorageError(f"{target}: {error.strerror or error}") from error

    def _partial(self) -> Path:
        return self.path / WORK / "partial" / f"{os.getpid()}-{os.urandom(6).hex()}"

    def download(self, name: str, path: Path) -> None:
        try:
            shutil.copyfile(self._path(name), path)
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror or error}") from error

    def delete(self, name: str) -> None:
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror or error}") from error

    def delete_folder(self, name: str) -> None:
        try:
            shutil.rmtree(self._path(name))
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror or error}") from error

    def digest(self, name: str) -> str:
        try:
            with self._path(name).open("rb") as file:
                return "md5:" + hashlib.file_digest(file, _md5).hexdigest()
        except OSError as error:
            raise StorageError(f"{self._path(name)}: {error.strerror or error}") from error

    def uri_of(self, name: str) -> str:
        return str(self._path(name))


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)  # Cloud Storage's own content digest


def open_folder(place: str) -> Folder:
    """Return the folder of a local path or a ``gs://`` URI; nothing is created or looked up.

    Raises:
        StorageError: the URI names no bucket, or no credentials are found for one.
    """
    if place.startswith(SCHEME):
        from pipeline.bucket import BucketFolder  # loads the cloud's client only where it is used

        return BucketFolder(place)
    if "://" in place:
        raise StorageError(f"{place!r}: expected a local path or a gs:// URI")
    return LocalFolder(Path(place).expanduser().absolute())
