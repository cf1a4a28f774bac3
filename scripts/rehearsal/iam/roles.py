"""What each role of Google Cloud permits, as far as the stand-ins ask.

``roles.json`` holds, for the roles that a stack of ours may grant and for those of Google's service
agents, the permissions that some stand-in checks, and no other. Source: the IAM reference
"Roles and permissions" (docs.cloud.google.com/iam/docs/roles-permissions), as the public record of
it that iann0036/iam-dataset keeps (``gcp/roles/``) had it on the day ``as_of``. A role that is
missing permits nothing: add it from there, with those of its permissions that others have here.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

OWNER = "roles/owner"
# The role that Google grants each agent on the project when it makes the agent
# (docs.cloud.google.com/iam/docs/service-agents).
AGENT_ROLES = {
    "gcp-sa-aiplatform": "roles/aiplatform.serviceAgent",
    "gcp-sa-aiplatform-cc": "roles/aiplatform.customCodeServiceAgent",
    "gcp-sa-artifactregistry": "roles/artifactregistry.serviceAgent",
    "gcp-sa-cloudbuild": "roles/cloudbuild.serviceAgent",
    "gcp-sa-notebooks": "roles/notebooks.serviceAgent",
}


class UnknownRoleError(LookupError):
    """A role that the table does not have, and perhaps Google does not either."""


@functools.cache
def _table() -> dict[str, frozenset[str]]:
    content = json.loads(Path(__file__).with_name("roles.json").read_text("utf-8"))
    return {role: frozenset(names) for role, names in content["permissions"].items()}


def known_roles() -> frozenset[str]:
    """The roles of the table."""
    return frozenset(_table())


def permissions_of(role: str) -> frozenset[str]:
    """The permissions of a role, of those that some stand-in checks.

    Raises:
        UnknownRoleError: the table does not have it.
    """
    try:
        return _table()[role]
    except KeyError:
        raise UnknownRoleError(role) from None
