"""Who may do what: the caller, the account of a container, and the service's own agent."""

from __future__ import annotations

import threading

from scripts.rehearsal.api_errors import ApiError, failed_precondition
from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.google_provider.services.settling import settles
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.iam.policies import CurrentPolicies, Policies, account, project, repository
from scripts.rehearsal.project_apis.agents import make_agent
from scripts.rehearsal.project_apis.project import disabled

API = "aiplatform.googleapis.com"
ACT_AS = "iam.serviceAccounts.actAs"
# Who a deployed model's container acts as when nobody names an account: one of Google's that
# "doesn't have access to the resource project" (aiplatform_v1/types/endpoint.py, 2.7.0,
# DeployedModel.service_account).
NOBODY = "custom-online-prediction@rehearsed-tenant.iam.gserviceaccount.com"


def agent_of(project_id: str) -> str:
    """The e-mail of Vertex AI's service agent in a project."""
    return f"service-{project_number(project_id)}@gcp-sa-aiplatform.iam.gserviceaccount.com"


def default_account(project_id: str) -> str:
    """Who a pipeline's steps act as when nobody names an account: Compute Engine's default one."""
    return f"{project_number(project_id)}-compute@developer.gserviceaccount.com"


class Permissions:
    """What callers, accounts and agents may do, by the grants of the provider's world.

    Args:
        world: the world.
    """

    def __init__(self, world: World) -> None:
        self._world, self._current = world, CurrentPolicies(world)
        self._lock = threading.Lock()

    def _policies(self) -> Policies:
        with self._lock:
            return self._current.read()

    def require(self, caller: str, permission: str, project_id: str, name: str) -> None:
        """Refuse a caller without a permission on a project.

        Args:
            caller: e-mail.
            permission: such as ``aiplatform.endpoints.deploy``.
            project_id: whose resource it is about; none has a policy of its own here.
            name: of the resource, for the message.

        Raises:
            ApiError: 403.
        """
        if settles(self._world, API):
            raise disabled(project_id, API)
        if self._policies().allows(caller, permission, project(project_id)):
            return
        resource = f"//aiplatform.googleapis.com/{name}"
        raise ApiError(
            403,
            f"Permission '{permission}' denied on resource '{resource}' (or it may not exist).",
            details=[
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "IAM_PERMISSION_DENIED",
                    "domain": "aiplatform.googleapis.com",
                    "metadata": {"permission": permission, "resource": name},
                }
            ],
        )

    def require_agent(self, project_id: str) -> None:
        """Refuse what the service's agent has to do while there is no agent yet.

        A first call makes it where nobody has asked for it, and calls are refused until it is there
        (docs.cloud.google.com/vertex-ai/docs/general/access-control#service-agents).

        Raises:
            ApiError: FAILED_PRECONDITION, for the first calls.
        """
        if not self._world.read().get("provisioning"):
            return
        with self._world.open() as contents:
            contents["provisioning"] = max(int(contents.get("provisioning", 0)) - 1, 0)
            make_agent(contents, agent_of(project_id))
        raise failed_precondition(
            "Vertex AI Service Agents are being provisioned "
            "(https://cloud.google.com/vertex-ai/docs/general/access-control#service-agents). "
            "Service Agents are needed to read the Cloud Storage file provided. So please try "
            "again in a few minutes."
        )

    def require_act_as(self, caller: str, email: str) -> None:
        """Refuse a caller who may not make something act as an account.

        https://docs.cloud.google.com/vertex-ai/docs/general/custom-service-account

        Raises:
            ApiError: 403.
        """
        if email and not self._policies().allows(caller, ACT_AS, account(email)):
            raise ApiError(
                403,
                f"You do not have permission to act as service_account: {email}. (or it may not "
                "exist).",
            )

    def require_administered(self, email: str, project_id: str) -> None:
        """Refuse to deploy as an account that the service's agent does not administer.

        "If you also plan to use the user-managed service account for predictions, then you must
        grant the Service Account Admin role to the Vertex AI Service Agent" (page "Use a custom
        service account", step 4); the words are those of its troubleshooting page.

        Raises:
            ApiError: FAILED_PRECONDITION.
        """
        agent = agent_of(project_id)
        permission = "iam.serviceAccounts.setIamPolicy"
        if email and not self._policies().allows(agent, permission, account(email)):
            raise failed_precondition(
                f"Failed to add IAM policy binding. Please grant {agent} the "
                f"iam.serviceAccountAdmin role on service account {email}."
            )

    def require_image(self, email: str, project_id: str, region: str, name: str, uri: str) -> None:
        """Refuse an account that may not pull an image.

        Args:
            email: who pulls.
            project_id: of the repository.
            region: of the repository.
            name: of the repository.
            uri: the image, for the message.

        Raises:
            ApiError: FAILED_PRECONDITION.
        """
        permission = "artifactregistry.repositories.downloadArtifacts"
        held = repository(project_id, region, name)
        if not self._policies().allows(email, permission, held):
            raise failed_precondition(f"{email} should be granted access to the image {uri}")
