"""Calls of a project's services that have no client here: JSON, and an end."""

from __future__ import annotations

import os
from typing import Any

from scripts.cloud.credentials import access_token, find_credentials
from scripts.cloud.google_errors import refusal
from scripts.cloud.vertex_sdk import REHEARSED_ACCOUNT, in_rehearsal, patiently
from scripts.terminal.errors import CLOUD, OperatorError

REHEARSED = (
    "SAM_REHEARSAL_APIS"  # address of a stand-in, to which https://HOST/PATH becomes /HOST/PATH
)
SECONDS = 30.0


class ServiceRefusal(OperatorError):
    """A service refuses, and nothing general explains it.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, host: str, status: int, text: str) -> None:
        super().__init__(
            f"{host} answers {status}: {text}",
            hint="check the project's id and that you may see it",
            exit_code=CLOUD,
        )
        self.status = status


def rehearsed_address() -> str:
    """Where a stand-in of the services is; empty where Google's are asked."""
    return os.environ.get(REHEARSED, "")


def can_be_asked() -> bool:
    """Whether this shell reaches Google's services or a stand-in of them."""
    return not in_rehearsal() or bool(rehearsed_address())


def fetch(host: str, path: str, project_id: str) -> dict[str, Any]:
    """Read something from a service; the arguments and errors are those of :func:`call`."""
    return call("GET", host, path, project_id)


def call(method: str, host: str, path: str, project_id: str) -> dict[str, Any]:
    """Call a service. It may be called several times, so it must be something that can be repeated.

    Args:
        method: GET or DELETE, or POST without a body.
        host: such as ``compute.googleapis.com``.
        path: with a slash before it.
        project_id: the project that pays for a user's calls.

    Raises:
        OperatorError: it refuses or does not answer; the message says why.
        ServiceRefusal: it refuses otherwise, such as with 404.
        google.auth.exceptions.GoogleAuthError: no credentials that Google accepts.
    """
    import requests

    address = rehearsed_address()
    if address and not address.startswith("http://127.0.0.1:"):
        raise OperatorError(f"{REHEARSED}={address} is not on this machine", hint="unset it")
    headers = {}
    account = os.environ.get(REHEARSED_ACCOUNT, "")
    if address:
        headers["X-Goog-User-Project"] = project_id
    if address and account:
        headers["Authorization"] = f"Bearer {account}"
    if not address:
        headers["Authorization"] = f"Bearer {access_token(project_id)}"
        payer = getattr(find_credentials(project_id), "quota_project_id", None)
        if payer:
            headers["X-Goog-User-Project"] = payer
    base = f"{address}/{host}" if address else f"https://{host}"
    reply = patiently(
        lambda: requests.request(method, base + path, headers=headers, timeout=SECONDS)
    )
    if reply.ok and not reply.content:
        return {}
    content: Any = None
    if reply.headers.get("Content-Type", "").startswith("application/json"):
        content = reply.json()
    if reply.status_code == 200 and isinstance(content, dict):
        return content
    error = content.get("error", {}) if isinstance(content, dict) else {}
    details = [d for d in error.get("details", []) if d.get("@type", "").endswith("ErrorInfo")]
    info = details[0] if details else {}
    text = str(error.get("message") or reply.text[:300])
    raise refusal(
        reply.status_code, text, str(info.get("reason", "")), info.get("metadata")
    ) or ServiceRefusal(host, reply.status_code, text)
