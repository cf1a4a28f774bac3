"""What the annotation server refuses."""

from __future__ import annotations

from typing import ClassVar


class AnnotateError(Exception):
    """A request of the page that cannot be done.

    Attributes:
        status: the HTTP status of the answer.
        callers_fault: whether another request would do.
        hint: the way out.
    """

    callers_fault: ClassVar[bool] = True
    hint: ClassVar[str] = "reload the page"

    def __init__(self, message: str, status: int = 422) -> None:
        super().__init__(message)
        self.status = status


class DamagedOutputError(Exception):
    """A file of the output that somebody else has written, or cut off."""

    callers_fault: ClassVar[bool] = True
    hint: ClassVar[str] = "fix or remove the file, or choose another --output"
