"""Google's own accounts in the project, made before anything is granted to them.

Enabling an API makes no service agent; its first use does, or the request that
``google_project_service_identity`` sends. Only the beta provider has that resource
(resource_project_service_identity.go is empty at v6.50.0 and v7.45.0 of the GA provider), so our
own command sends it. A grant to an agent that was never made is refused: "400 Service account
service-N@... does not exist" (cloud-foundation-fabric, issue 3788).

Compute Engine's is never asked for: "This service identity cannot be created with the
google_project_service_identity resource. Attempting to activate [it] leads to an error response ...
it seems the service is activated by default" (terraform-google-project-factory, pull request 628).
That it is there as soon as its API is enabled is UNVERIFIED beyond that.
"""

from __future__ import annotations

from cdktf import DataResource, ITerraformDependable, LocalExecProvisioner
from cdktf_cdktf_provider_google.data_google_project import DataGoogleProject
from constructs import Construct

from infra.operator_command import sam_vertex
from infra.settings import Settings

# By API. A data source that reads it makes Cloud Storage's; Compute Engine's comes with its API.
AGENTS = {
    "aiplatform": "gcp-sa-aiplatform",
    "artifactregistry": "gcp-sa-artifactregistry",
    "notebooks": "gcp-sa-notebooks",
    "compute": "compute-system",
    "storage": "gs-project-accounts",
}


class ServiceAgents(Construct):
    """The agents that this platform grants something to.

    Attributes:
        ready: what a grant to an agent depends on.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        project: DataGoogleProject,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self._number = project.number
        apis = ["aiplatform"]
        if settings.cmek:
            apis += ["artifactregistry", "notebooks"]
        self.ready: list[ITerraformDependable] = [
            DataResource(
                self,
                api,
                triggers_replace={"project": settings.project_id},
                provisioners=[
                    LocalExecProvisioner(
                        type="local-exec",
                        command=sam_vertex(
                            f"platform make-agent {api}.googleapis.com "
                            f"--project {settings.project_id}"
                        ),
                    )
                ],
                depends_on=after,
            )
            for api in apis
        ]

    def member(self, api: str) -> str:
        """IAM member of an API's agent, spelled out.

        Were it read from a data source that waits for the APIs, one more API would make it unknown
        in a plan, and Terraform would replace every grant that names it.
        """
        return f"serviceAccount:service-{self._number}@{AGENTS[api]}.iam.gserviceaccount.com"
