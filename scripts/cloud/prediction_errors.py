"""Refusals of an endpoint, which the SDK raises in two ways, and which of them may pass."""

from __future__ import annotations

import re

from scripts.cloud.vertex_sdk import is_transient

_NOT_FOUND, _TOO_MANY = 404, 429


def status_of(error: Exception) -> int:
    """The HTTP status of a refused prediction; 0 where the error names none.

    The SDK raises exceptions of the API for a shared endpoint, and for a dedicated one a ValueError
    with the status in its text, whatever the status (aiplatform/models.py 2.7.0, ``predict``).
    """
    from google.api_core.exceptions import GoogleAPICallError

    if isinstance(error, GoogleAPICallError):
        return int(error.code or 0)
    status = re.search(r"Status code: ?(\d{3})", str(error))
    return int(status[1]) if status else 0


def may_pass(error: Exception) -> bool:
    """Whether a refused prediction may succeed a moment later: 404, 429, 5xx, a lost connection.

    A proxy that has just learned of a deployment answers 404 or 503 for a while.
    """
    status = status_of(error)
    return is_transient(error) or status in (_NOT_FOUND, _TOO_MANY) or status >= 500


def is_overload(error: Exception) -> bool:
    """Whether a refused prediction may succeed a moment later on an endpoint that serves."""
    return may_pass(error) and status_of(error) != _NOT_FOUND


def is_callers_fault(error: Exception) -> bool:
    """Whether the request itself is wrong, as the model server or the endpoint says."""
    return status_of(error) in (400, 413, 422)
