"""A folder of this machine behind the interface of :mod:`serving.storage.folder`."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from filelock import FileLock

from serving.storage.checksums import md5_digest
from serving.storage.errors import StorageError, local_error
from serving.storage.folder import WORK, Folder, ProgressCallback, StoredFile, safe_path

_BINARY = "application/octet-stream"
_TEXT = "text/plain; charset=utf-8"


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

    def _plain_path(self, name: str) -> str:
        """The path as text: a tenth of the time, for what happens to a million files."""
        if not name or name[0] == "/" or ".." in name or "\0" in name:
            return str(self._path(name))
        return f"{self.uri}/{name}"

    def _target(self, name: str) -> Path:
        """The path of a file that is about to be written or removed.

        Raises:
            StorageError: a link on the way to it leads out of the folder.
        """
        target = self._path(name)
        parent = os.path.realpath(target.parent)
        if not f"{parent}/".startswith(f"{os.path.realpath(self.path).rstrip('/')}/"):
            raise StorageError(
                f"{target}: a link leads to {parent}, outside {self.path}, where nothing is written"
            )
        return target

    def files(self, prefix: str = "", *, nested: bool = True) -> Iterator[StoredFile]:
        start = self.path / PurePosixPath(prefix).parent if "/" in prefix else self.path
        if prefix.endswith("/"):
            start = self._path(prefix)
        for parent, folders, names in os.walk(start, onerror=_raise_unless_gone):
            visible = sorted(name for name in folders if not name.startswith("."))
            folders[:] = visible if nested else []
            below = Path(parent).relative_to(self.path).as_posix()
            above = "" if below == "." else f"{below}/"
            for name in sorted(names):
                relative = f"{above}{name}"
                if relative.startswith(prefix) and not name.startswith("."):
                    status = _file_status(f"{parent}/{name}")
                    if status is not None:
                        yield StoredFile(relative, status.st_size)

    def exists(self, name: str) -> bool:
        return _file_status(self._plain_path(name)) is not None

    def stat(self, name: str) -> StoredFile | None:
        status = _file_status(self._path(name))
        if status is None:
            return None
        # Every write renames a new file into place, so time and inode differ from the last one's.
        generation = status.st_mtime_ns << 64 | status.st_ino
        return StoredFile(name, status.st_size, generation=generation, updated=status.st_mtime)

    def read_bytes(self, name: str) -> bytes:
        path = self._plain_path(name)
        with _local_errors(path), open(path, "rb") as file:
            return file.read()

    def read_head(self, name: str, length: int) -> bytes:
        path = self._plain_path(name)
        with _local_errors(path), open(path, "rb") as file:
            return file.read(length)

    def lines(self, name: str) -> Iterator[bytes]:
        path = self._plain_path(name)
        with _local_errors(path), open(path, "rb") as file:
            yield from file

    def create(self, name: str, content: bytes, replacing: int = 0) -> bool:
        self.before_write()
        with _local_errors(self._path(name)), self._generation_lock():
            stored = self.stat(name)
            if (stored.generation if stored else 0) != replacing:
                return False
            self.write_bytes(name, content, _BINARY)
        return True

    @contextlib.contextmanager
    def _generation_lock(self) -> Iterator[None]:
        """Between looking at a file's generation and acting on it nobody else acts on one."""
        lock = self.path / WORK / "create.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock):
            yield

    def write_bytes(self, name: str, content: bytes, content_type: str) -> None:
        self.before_write()
        target, partial = self._target(name), self._partial()
        with _local_errors(target):
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

    def write_short_text(self, name: str, text: str) -> None:
        self.write_bytes(name, text.encode(), _TEXT)

    def short_texts(self, folder: str) -> dict[str, str]:
        texts = {}
        for file in self.files(f"{folder}/"):
            texts[file.name] = self.read_bytes(file.name).decode("utf-8", "replace")
        return texts

    def write_from(self, name: str, path: Path, content_type: str) -> None:
        self.before_write()
        target = self._target(name)
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
        self.before_write()
        target, partial = self._target(name), self._partial()
        with _local_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(path, partial)
                with partial.open("r+b") as file:
                    os.fsync(file.fileno())  # the name must not be there before the content
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

    def delete(self, name: str, *, generation: int = 0) -> None:
        self.before_write()
        target = self._target(name)
        with _local_errors(target):
            if not generation:
                target.unlink(missing_ok=True)
                return
            with self._generation_lock():
                stored = self.stat(name)
                if stored is not None and stored.generation == generation:
                    target.unlink(missing_ok=True)

    def delete_folder(self, name: str) -> None:
        self.before_write()
        with _local_errors(self._path(name)), contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._target(name))

    def digest(self, name: str) -> str:
        path = self._plain_path(name)
        with _local_errors(path):
            return md5_digest(path)

    def clock(self) -> float:
        return time.time()

    def uri_of(self, name: str) -> str:
        return str(self._path(name))


_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def _file_status(path: Path | str) -> os.stat_result | None:
    """What is known of a file; ``None`` where there is none, or something that is no file."""
    with _local_errors(path):
        try:
            status = os.stat(path)
        except OSError as error:
            if error.errno in _NO_SUCH_FILE:
                return None
            raise
    return status if stat.S_ISREG(status.st_mode) else None


def _raise_unless_gone(error: OSError) -> None:
    """A folder that cannot be listed ends the listing; one that is not there holds nothing."""
    if error.errno not in _NO_SUCH_FILE:
        raise local_error(error.filename, error) from error


@contextlib.contextmanager
def _local_errors(path: Path | str) -> Iterator[None]:
    """Turn an OSError into a StorageError that names the file."""
    try:
        yield
    except OSError as error:
        raise local_error(path, error) from error
