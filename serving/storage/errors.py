"""What goes wrong with files and objects.

- StorageError      a file or folder cannot be read or written
    - FullDiskError the same, for want of room on this machine
    - BucketError   the same of a bucket or object
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import ClassVar

_NOT_FOUND = 404


class StorageError(Exception):
    """A file or folder cannot be read or written; the message names it and the reason.

    Attributes:
        missing: whether the reason is that there is no such file.
    """

    callers_fault: ClassVar[bool] = True
    missing: bool = False
    hint: str = "check that it exists and that you may read or write it"

    def __init__(self, message: object = "", *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint


class FullDiskError(StorageError):
    """The disk, the table of its files or somebody's share of it is full."""

    callers_fault = False
    hint = (
        "make room there, for bytes (df -h) or for files (df -i), and run the same command again: "
        "what was finished is kept"
    )


_FULL = (errno.ENOSPC, errno.EDQUOT)
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def local_error(path: Path | str, error: OSError) -> StorageError:
    """Return the error that says what an OSError means for a file or folder of this machine."""
    kind = FullDiskError if error.errno in _FULL else StorageError
    result = kind(f"{path}: {error.strerror or error}")
    result.missing = error.errno in _MISSING
    return result


class BucketError(StorageError):
    """A bucket or object cannot be read or written: Cloud Storage, its grants or the network.

    Attributes:
        status: the HTTP status that Cloud Storage answered; ``None`` where it gave no answer.
    """

    callers_fault = False

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.missing = status == _NOT_FOUND
