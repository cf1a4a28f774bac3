"""A folder of this machine behind the interface of :mod:`serving.storage.folder`."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from serving.storage.folder import WORK, Folder, StorageError, StoredFile, safe_path


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
