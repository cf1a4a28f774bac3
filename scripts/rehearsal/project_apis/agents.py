"""Service agents: the accounts by which Google's services act in a project, and their making."""

from __future__ import annotations

from typing import Any

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.google_provider.services.identity import project_number

PREFIX = "/apis"  # where https://HOST/PATH is answered, as PREFIX/HOST/PATH
# By API, of the services that have one (docs.cloud.google.com/iam/docs/service-agents).
AGENTS = {
    "aiplatform": "gcp-sa-aiplatform",
    "artifactregistry": "gcp-sa-artifactregistry",
    "cloudbuild": "gcp-sa-cloudbuild",
    "compute": "compute-system",
    "notebooks": "gcp-sa-notebooks",
    "storage": "gs-project-accounts",
}


def agent_email(project_id: str, api: str) -> str:
    """The e-mail of an API's agent.

    Args:
        project_id: where it acts.
        api: such as ``aiplatform.googleapis.com``.

    Raises:
        ApiError: the service has none.
    """
    name = AGENTS.get(api.removesuffix(".googleapis.com"))
    if name is None:
        raise ApiError(400, f"Service {api} has no service identity here.")
    return f"service-{project_number(project_id)}@{name}.iam.gserviceaccount.com"


def make_agent(world: dict[str, Any], email: str) -> None:
    """Make an agent; a world without a list of agents has every one already."""
    agents = world.get("agents")
    if agents is not None and email not in agents:
        agents.append(email)
