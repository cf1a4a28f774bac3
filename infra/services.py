"""The Google Cloud APIs that everything else needs enabled."""

from __future__ import annotations

from cdktf import DataResource, ITerraformDependable, LocalExecProvisioner
from cdktf_cdktf_provider_google.project_service import ProjectService
from constructs import Construct

from infra.operator_command import sam_vertex
from infra.settings import Settings

ALWAYS = (
    "aiplatform",
    "artifactregistry",
    "cloudbilling",
    "cloudbuild",
    "cloudquotas",
    "cloudresourcemanager",
    "compute",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "notebooks",
    "serviceusage",
    "storage",
    "sts",
)


class Services(Construct):
    """APIs, left enabled on destroy: others in the project may use them.

    Attributes:
        enabled: what every other resource depends on; they answer by then.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        names = [*ALWAYS]
        if settings.cmek:
            names.append("cloudkms")
        if settings.budget:
            names.append("billingbudgets")
        if settings.request_logging or settings.bigquery:
            names.append("bigquery")
        enabled: list[ITerraformDependable] = [
            ProjectService(
                self,
                name,
                project=settings.project_id,
                service=f"{name}.googleapis.com",
                disable_on_destroy=False,
                depends_on=after,
            )
            for name in names
        ]
        account = f" --billing-account {settings.billing_account}" if settings.budget else ""
        # An API that is enabled answers 403 for some minutes, and the provider does not try again.
        settled = DataResource(
            self,
            "settled",
            triggers_replace={"project": settings.project_id, "apis": " ".join(names)},
            provisioners=[
                LocalExecProvisioner(
                    type="local-exec",
                    command=sam_vertex(
                        f"platform wait-for-apis {' '.join(names)} "
                        f"--project {settings.project_id} --region {settings.region}{account}"
                    ),
                )
            ],
            depends_on=enabled,
        )
        self.enabled: list[ITerraformDependable] = [*enabled, settled]
