"""Refusals of Cloud Storage, in the JSON API's form.

https://docs.cloud.google.com/storage/docs/json_api/v1/status-codes
"""

from __future__ import annotations

import json

from scripts.rehearsal.cloud_storage.requested import Need

REASONS = {400: "invalid", 401: "required", 403: "forbidden", 404: "notFound", 409: "conflict"}


class StorageRefusal(Exception):
    """A refusal.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status, self._message = status, message
        self._reason = reason or REASONS.get(status, "backendError")

    def body(self) -> bytes:
        """The reply."""
        error = {"message": self._message, "domain": "global", "reason": self._reason}
        content = {"error": {"code": self.status, "message": self._message, "errors": [error]}}
        return json.dumps(content).encode()


def forbidden(email: str, need: Need) -> StorageRefusal:
    """403, in the words that the service has for a caller without a permission."""
    what = "Google Cloud project"
    if need.bucket:
        what = "Google Cloud Storage object" if need.name else "Google Cloud Storage bucket"
    return StorageRefusal(
        403,
        f"{email} does not have {need.permission} access to the {what}. Permission "
        f"'{need.permission}' denied on resource (or it may not exist).",
    )
