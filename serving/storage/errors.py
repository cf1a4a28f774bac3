"""What goes wrong with files and objects.

- StorageError      a file or folder cannot be read or written
    - BucketError   the same of a bucket or object
"""

from __future__ import annotations

from typing import ClassVar

_NOT_FOUND = 404


class StorageError(Exception):
    """A file or folder cannot be read or written; the message names it and the reason.

    Attributes:
        missing: whether the reason is that there is no such file.
    """

    callers_fault: ClassVar[bool] = True
    missing: bool = False
    hint: ClassVar[str] = "check that it exists and that you may read or write it"


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
