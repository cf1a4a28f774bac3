"""Service agents: the accounts by which Google's services act in a project, and their making."""

from __future__ import annotations

from typing import Any

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.iam.roles import AGENT_ROLES

PREFIX = "/apis"  # where https://HOST/PATH is answered, as PREFIX/HOST/PATH
# By API, of the services that have one (docs.cloud.google.com/iam/docs/service-agents).
AGENTS = {
    "aiplatform": "gcp-sa-aiplatform",
    "artifactregistry": "gcp-sa-artifactregistry",
    "cloudbuild": "gcp-sa-cloudbuild",
    "notebooks": "gcp-sa-notebooks",
    "storage": "gs-project-accounts",
}


def agent_email(project_id: str, api: str) -> str:
    """The e-mail of an API's agent that can be asked for.

    Compute Engine's cannot, "it seems the service is activated by default"
    (terraform-google-project-factory, pull request 628): it comes with its API here.

    Args:
        project_id: where it acts.
        api: such as ``aiplatform.googleapis.com``.

    Raises:
        ApiError: the service has none, or refuses to make it.
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


def project_bindings(world: dict[str, Any], project_id: str) -> list[dict[str, Any]]:
    """The bindings of a project's policy: what Terraform granted, and the agents' own roles."""
    held: dict[str, set[str]] = {}
    for values in world["resources"].get("google_project_iam_member", {}).values():
        if values["project"] == project_id:
            held.setdefault(str(values["role"]), set()).add(str(values["member"]))
    for name, role in AGENT_ROLES.items():
        email = f"service-{project_number(project_id)}@{name}.iam.gserviceaccount.com"
        if email in world.get("agents", [email]):
            held.setdefault(role, set()).add(f"serviceAccount:{email}")
    return [{"role": role, "members": sorted(members)} for role, members in sorted(held.items())]
