"""Errors as Google's APIs say them (https://google.aip.dev/193)."""

from __future__ import annotations

from typing import Any

STATUS = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# google.rpc.Code, which operations and job errors carry instead of HTTP's.
RPC = {400: 3, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14, 504: 4}


class ApiError(Exception):
    """What the service refuses.

    Attributes:
        code: HTTP status.
        message: what the service says.
        status: its name, where another than usual.
    """

    def __init__(self, code: int, message: str, status: str = "") -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.status = status or STATUS.get(code, "UNKNOWN")

    def body(self) -> dict[str, Any]:
        """The reply's JSON."""
        return {"error": {"code": self.code, "message": self.message, "status": self.status}}

    def rpc(self) -> dict[str, Any]:
        """``google.rpc.Status`` of a failed operation."""
        code = 9 if self.status == "FAILED_PRECONDITION" else RPC.get(self.code, 2)
        return {"code": code, "message": self.message}


def precondition(message: str) -> ApiError:
    """400 FAILED_PRECONDITION."""
    return ApiError(400, message, "FAILED_PRECONDITION")


def not_found(name: str) -> ApiError:
    """404 of something by its name."""
    return ApiError(404, f"The resource {name} is not found.")
