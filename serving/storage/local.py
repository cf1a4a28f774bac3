"""A folder of this machine behind the interface of :mod:`serving.storage.folder`."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from filelock import FileLock

from serving.storage.checksums import md5_digest
from serving.storage.errors import StorageError
from serving.storage.folder import WORK, Folder, ProgressCallback, StoredFile, safe_path

_BINARY = "application/octet-stream"


class LocalFolder(Folder):
    """A folder on this machine."""

    is_local = True
    readers = 1
    progress_seconds = 0.3

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.path = path

    def _path(self, name: str) -> Path:
        return self.path / safe_path(name)

    def files(self, prefix: str = "", *, nested: bool = True) -> Iterator[StoredFile]:
        start = self.path / PurePosixPath(prefix).parent if "/" in prefix else self.path
        if prefix.endswith("/"):
            start = self._path(prefix)
        for parent, folders, names in os.walk(start):
            visible = sorted(name for name in folders if not name.startswith("."))
            folders[:] = visible if nested else []
            for name in sorted(names):
                path = Path(parent, name)
                relative = path.relative_to(self.path).as_posix()
                if relative.startswith(prefix) and not name.startswith(".") and path.is_file():
                    yield StoredFile(relative, path.stat().st_size)

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def stat(self, name: str) -> StoredFile | None:
        path = self._path(name)
        with _local_errors(path):
            if not path.is_file():
                return None
            status = path.stat()
        # Every write renames a new file into place, so time and inode differ from the last one's.
        generation = status.st_mtime_ns << 64 | status.st_ino
        return StoredFile(name, status.st_size, generation=generation)

    def read_bytes(self, name: str) -> bytes:
        with _local_errors(self._path(name)):
            return self._path(name).read_bytes()

    def read_head(self, name: str, length: int) -> bytes:
        with _local_errors(self._path(name)), self._path(name).open("rb") as file:
            return file.read(length)

    def create(self, name: str, content: bytes, replacing: int = 0) -> bool:
        lock = self.path / WORK / "create.lock"
        with _local_errors(self._path(name)):
            lock.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(lock):
                stored = self.stat(name)
                if (stored.generation if stored else 0) != replacing:
                    return False
                self.write_bytes(name, content, _BINARY)
        return True

    def write_bytes(self, name: str, content: bytes, content_type: str) -> None:
        partial = self._partial()
        with _local_errors(self._path(name)):
            try:
                partial.parent.mkdir(parents=True, exist_ok=True)
                with partial.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            except OSError:
                partial.unlink(missing_ok=True)
                raise
        self.write_from(name, partial, content_type)

    def write_from(self, name: str, path: Path, content_type: str) -> None:
        target = self._path(name)
        with _local_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.replace(target)
            except OSError:  # another file system: bring it here first, then rename
                self.upload(name, path, content_type)
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
        target, partial = self._path(name), self._partial()
        with _local_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(path, partial)
                partial.replace(target)
            except OSError:
                partial.unlink(missing_ok=True)
                raise
            if progress is not None:
                size = target.stat().st_size
                progress(size, size)

    def _partial(self) -> Path:
        return self.path / WORK / "partial" / f"{os.getpid()}-{os.urandom(6).hex()}"

    def download(self, name: str, path: Path) -> None:
        with _local_errors(self._path(name)):
            shutil.copyfile(self._path(name), path)

    def delete(self, name: str) -> None:
        with _local_errors(self._path(name)):
            self._path(name).unlink(missing_ok=True)

    def delete_folder(self, name: str) -> None:
        with _local_errors(self._path(name)), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._path(name))

    def digest(self, name: str) -> str:
        with _local_errors(self._path(name)):
            return md5_digest(self._path(name))

    def uri_of(self, name: str) -> str:
        return str(self._path(name))


@contextlib.contextmanager
def _local_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into a StorageError that names the file."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error
