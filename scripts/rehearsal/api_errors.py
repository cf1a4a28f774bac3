"""Errors in the form of Google's APIs (https://google.aip.dev/193)."""

from __future__ import annotations

from typing import Any

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
# google.rpc.Code, which operations and jobs carry instead of a status of HTTP.
RPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 429: 8, 500: 13, 503: 14, 504: 4}
RPC_FAILED_PRECONDITION, RPC_UNKNOWN = 9, 2


class ApiError(Exception):
    """A refusal of the service.

    Attributes:
        code: HTTP status.
        message: what the service answers.
        status: the name of the status, where it is another than the code's usual one.
        details: what programs read (https://google.aip.dev/193#errorinfo).
    """

    def __init__(
        self, code: int, message: str, status: str = "", details: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.status = status or STATUS.get(code, "UNKNOWN")
        self.details = details or []

    @classmethod
    def internal(cls, error: Exception) -> ApiError:
        """500 for an error of the stand-in itself."""
        return cls(500, f"{type(error).__name__}: {error}")

    def body(self) -> dict[str, Any]:
        """The reply's JSON."""
        error = {"code": self.code, "message": self.message, "status": self.status}
        return {"error": {**error, "details": self.details} if self.details else error}

    def rpc(self) -> dict[str, Any]:
        """``google.rpc.Status`` of a failed operation or job."""
        if self.status == "FAILED_PRECONDITION":
            code = RPC_FAILED_PRECONDITION
        else:
            code = RPC_CODES.get(self.code, RPC_UNKNOWN)
        return {"code": code, "message": self.message}


def failed_precondition(message: str) -> ApiError:
    """400 FAILED_PRECONDITION."""
    return ApiError(400, message, "FAILED_PRECONDITION")


def not_found(name: str) -> ApiError:
    """404 for a resource, by its name."""
    return ApiError(404, f"The resource {name} is not found.")
