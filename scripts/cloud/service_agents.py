"""Google's service agents: the accounts by which its services act in a project."""

from __future__ import annotations

import time
from typing import Any

from scripts.cloud.project_services import call, can_be_asked, fetch
from scripts.cloud.vertex_sdk import poll_seconds
from scripts.terminal.errors import CLOUD, OperatorError

HOST = "serviceusage.googleapis.com"
PATIENCE_SECONDS = 300.0


def make_agent(service: str, project_id: str) -> str:
    """Make the agent of a service, or find it; the same call does both.

    Service Usage API, v1beta1 ``services.generateServiceIdentity``: "Response message: the identity
    that was created or retrieved". It returns an operation.

    Args:
        service: such as ``aiplatform.googleapis.com``; its API must be enabled.
        project_id: where.

    Returns:
        The agent's e-mail; empty in a local cloud without a stand-in of the API.

    Raises:
        OperatorError: the service has no agent, or the caller may not make it.
    """
    if not can_be_asked():
        return ""
    path = f"/v1beta1/projects/{project_id}/services/{service}:generateServiceIdentity"
    operation = call("POST", HOST, path, project_id)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not operation.get("done"):
        if time.monotonic() > deadline:
            raise OperatorError(
                f"Google has not made the agent of {service} for {PATIENCE_SECONDS:.0f} s",
                hint="run the same command again: it goes on there",
                exit_code=CLOUD,
            )
        time.sleep(min(poll_seconds(), 2.0))
        operation = fetch(HOST, f"/v1beta1/{operation['name']}", project_id)
    return _email(operation, service)


def _email(operation: dict[str, Any], service: str) -> str:
    error = operation.get("error")
    if error:
        raise OperatorError(
            f"the agent of {service} cannot be made: {error.get('message', error)}",
            hint="deploy again; it enables the API first",
            exit_code=CLOUD,
        )
    return str(operation.get("response", {}).get("email", ""))
