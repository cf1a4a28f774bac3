"""The interface of a folder, local or in a bucket.

A write is all or nothing on both sides: a bucket's object appears when its upload is complete, a
local file when its finished copy is renamed into place.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from serving.storage.errors import StorageError, local_error

SCHEME = "gs://"
WORK = ".run"  # inside a run's output: plans, progress and half-written files
ProgressCallback = Callable[[int, int], object]


@dataclasses.dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a folder.

    Attributes:
        name: its path below the folder, with forward slashes.
        size_bytes: its length.
        digest: as :meth:`Folder.digest`; empty where the storage does not keep it.
        crc32c: checksum of its content, base64; empty where the storage does not keep it.
        generation: a number that changes with every write of the file; 0 in a listing.
        updated: when it was written, by the storage's own clock, in seconds since 1970; 0 in a
            listing.
    """

    name: str
    size_bytes: int
    digest: str = ""
    crc32c: str = ""
    generation: int = 0
    updated: float = 0.0


class Folder(abc.ABC):
    """A folder that holds files; names are relative, with forward slashes.

    Every method but :meth:`uri_of` raises StorageError where the storage refuses or fails; all
    refuse a name that no file below the folder can have.

    Attributes:
        uri: the local path or ``gs://`` URI.
        is_local: whether the folder lies on this machine.
        readers: how many files a caller best asks for at once.
        progress_seconds: how often a process best writes, or reads, how far a run is.
        before_write: called before every write and deletion; what it raises prevents them.
    """

    is_local: bool
    readers: int
    progress_seconds: float

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.before_write: Callable[[], object] = lambda: None

    @abc.abstractmethod
    def files(self, prefix: str = "", *, nested: bool = True) -> Iterator[StoredFile]:
        """List the files whose name begins with ``prefix``, by name; hidden ones are left out.

        Args:
            prefix: beginning of the names.
            nested: whether to list those of subfolders too.
        """

    @abc.abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is such a file."""

    @abc.abstractmethod
    def stat(self, name: str) -> StoredFile | None:
        """Return what the storage knows of a file; ``None`` where there is no such file."""

    @abc.abstractmethod
    def read_bytes(self, name: str) -> bytes:
        """Return a file's content."""

    @abc.abstractmethod
    def read_head(self, name: str, length: int) -> bytes:
        """Return the first ``length`` bytes of a file, fewer where it is shorter."""

    def lines(self, name: str) -> Iterator[bytes]:
        """The lines of a file with their ends; not all of them are in memory at once."""
        with tempfile.TemporaryDirectory(prefix="sam-") as folder:
            path = Path(folder, "file")
            self.download(name, path)
            with path.open("rb") as file:
                yield from file

    @contextlib.contextmanager
    def writing(self, name: str, content_type: str) -> Iterator[IO[bytes]]:
        """A file of any length to write to, which is here when the block has ended well."""
        with tempfile.TemporaryDirectory(prefix="sam-") as folder:
            path = Path(folder, "file")
            try:
                with path.open("wb") as file:
                    yield file
            except OSError as error:
                raise local_error(path, error) from error
            self.write_from(name, path, content_type)

    @abc.abstractmethod
    def create(self, name: str, content: bytes, replacing: int = 0) -> bool:
        """Write a file unless another process has written it meanwhile.

        Args:
            name: the file.
            content: its new content.
            replacing: the generation that the file must still have; 0 if it must not exist.

        Returns:
            Whether the file now has this content.
        """

    @abc.abstractmethod
    def write_bytes(self, name: str, content: bytes, content_type: str) -> None:
        """Create or replace a file, all or nothing."""

    @abc.abstractmethod
    def write_short_text(self, name: str, text: str) -> None:
        """Create or replace a file of at most 2 kB that :meth:`short_texts` reads back."""

    @abc.abstractmethod
    def short_texts(self, folder: str) -> dict[str, str]:
        """Read all short texts of a subfolder, by file name; of a bucket a thousand a request."""

    @abc.abstractmethod
    def write_from(self, name: str, path: Path, content_type: str) -> None:
        """Move a finished local file into this folder, all or nothing."""

    @abc.abstractmethod
    def upload(
        self,
        name: str,
        path: Path,
        content_type: str,
        *,
        metadata: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> None:
        """Copy a local file of any size into this folder, all or nothing.

        Args:
            name: the file's name here.
            path: the local file; it stays.
            content_type: its media type.
            metadata: kept beside the object; a local folder has no room for it.
            progress: called with the bytes copied so far and the total.
        """

    @abc.abstractmethod
    def download(self, name: str, path: Path) -> None:
        """Copy a file, of any size, to a local path."""

    @abc.abstractmethod
    def delete(self, name: str, *, generation: int = 0) -> None:
        """Remove a file; a missing one is no error.

        Args:
            name: the file.
            generation: the one that it must still have, else it stays; 0 for any.
        """

    @abc.abstractmethod
    def delete_folder(self, name: str) -> None:
        """Remove a subfolder with everything in it; a missing one is no error."""

    @abc.abstractmethod
    def digest(self, name: str) -> str:
        """Return the content's digest as ``md5:<hex>``, or ``crc32c:<base64>``.

        Cloud Storage keeps no MD5 of an object that was composed of several.
        """

    @abc.abstractmethod
    def clock(self) -> float:
        """The time by the clock that :attr:`StoredFile.updated` is read from."""

    @abc.abstractmethod
    def uri_of(self, name: str) -> str:
        """Return the full path or ``gs://`` URI of a file."""


def safe_path(name: str) -> PurePosixPath:
    """Return a file's name as a relative path.

    Raises:
        StorageError: the name would lead outside the folder.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name:
        raise StorageError(f"{name!r}: expected a name below the folder")
    return path
