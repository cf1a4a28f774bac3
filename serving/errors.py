"""Errors that a client sees: a status, and a message with the field, what it takes, a way out.

- Refusal                any reply but masks; the message is safe to show
    - RequestError       (4xx) the caller's request
        - ImageNotKept   (409) an ``image_id`` whose image the server no longer has
    - Unavailable        (429, 503) ours: busy, loading, or Cloud Storage; try again
- ArtifactsError         the container cannot start with its artifacts or settings (no HTTP status)
"""

from __future__ import annotations

from fastapi import HTTPException

from serving.sam.plain_text import one_line

STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class Refusal(HTTPException):
    """A reply with an error instead of masks.

    An ``HTTPException``, so that the SDK's own handler passes it through as well.
    """

    def __init__(self, message: str, status_code: int) -> None:
        self.message = one_line(message)
        super().__init__(status_code=status_code, detail=self.message)


class RequestError(Refusal):
    """The request is at fault."""

    def __init__(self, message: str, status_code: int = 400) -> None:
        super().__init__(message, status_code)


class ImageNotKept(RequestError):
    """The server no longer has the image of an ``image_id``; the client sends the image."""

    def __init__(self, message: str, status_code: int = 409) -> None:
        super().__init__(message, status_code)


class Unavailable(Refusal):
    """The server is busy or something behind it fails; ``Retry-After`` says when to come back."""

    def __init__(self, message: str, status_code: int = 503, retry_after_seconds: int = 2) -> None:
        super().__init__(message, status_code)
        self.headers = {"Retry-After": str(retry_after_seconds)}


class ArtifactsError(Exception):
    """The artifacts hold no usable checkpoint, or cannot be read."""


def error_body(status_code: int, message: str) -> dict[str, object]:
    """The body of an error reply, in the form of Google's APIs (https://google.aip.dev/193)."""
    status = STATUS_NAMES.get(status_code, "INVALID_ARGUMENT")
    return {"error": {"code": status_code, "message": message, "status": status}}
