"""Who acts: one service account per purpose, and everything that each may do."""

from __future__ import annotations

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.project_iam_member import ProjectIamMember
from cdktf_cdktf_provider_google.service_account import ServiceAccount
from cdktf_cdktf_provider_google.service_account_iam_member import ServiceAccountIamMember
from cdktf_cdktf_provider_google.storage_bucket_iam_member import (
    StorageBucketIamMember,
    StorageBucketIamMemberCondition,
)
from constructs import Construct

from infra.registry import Registry
from infra.service_agents import ServiceAgents
from infra.settings import Settings, state_prefix
from infra.storage import (
    BUILD,
    CHECKPOINTS,
    IMAGES,
    PIPELINE,
    PREDICTIONS,
    STARTUP,
    STATUS,
    Storage,
)

PURPOSES = {
    "workbench": "Acts on the Workbench: develops, submits pipelines, deploys models.",
    "serving": "Acts in the deployed model.",
    "pipeline": "Acts in pipeline steps: reads checkpoint and images, writes results.",
    "checkpoints": "Uploads checkpoints, and nothing else.",
    "build": "Builds container images in Cloud Build.",
    "plan": "Plans changes in CI; may look, not touch.",
}
USER = "roles/iam.serviceAccountUser"
# What a refresh reads, service by service; securityReviewer reads the grants. The basic viewer role
# would read everybody's data as well.
PLAN_ROLES = (
    "roles/aiplatform.viewer",
    "roles/artifactregistry.reader",
    "roles/cloudkms.viewer",
    "roles/compute.viewer",
    "roles/iam.securityReviewer",
    "roles/monitoring.viewer",
    "roles/notebooks.viewer",
)
VIEWER, CREATOR = "roles/storage.objectViewer", "roles/storage.objectCreator"
EDITOR = "roles/storage.objectUser"


def purposes(settings: Settings) -> dict[str, str]:
    """What each account of a platform is for; nobody acts on a Workbench that is not there."""
    return {
        name: text for name, text in PURPOSES.items() if settings.workbench or name != "workbench"
    }


class Identities(Construct):
    """Service accounts with their grants: per folder, per repository, per account acted as.

    The project grants only roles that no narrower resource can grant.

    Attributes:
        accounts: the service account of each purpose.
        workbench_ready: grants that the Workbench's first start needs.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        storage: Storage,
        registry: Registry,
        agents: ServiceAgents,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self._storage = storage
        self.accounts = {
            purpose: ServiceAccount(
                self,
                purpose,
                account_id=f"{settings.prefix}-{purpose}",
                project=settings.project_id,
                display_name=f"{settings.prefix} {purpose}",
                description=description,
                depends_on=after,
            )
            for purpose, description in purposes(settings).items()
        }
        self.workbench_ready: list[ITerraformDependable] = []
        if settings.workbench:
            self.workbench_ready += [
                self._folder("workbench", STARTUP, VIEWER),
                self._folder("workbench", STATUS, EDITOR),
            ]
            self._workbench(registry)
        self._serving(agents)
        self._pipeline(registry)
        self._folder("checkpoints", CHECKPOINTS, EDITOR)
        self._build(registry)
        self._plan()

    def member(self, purpose: str) -> str:
        """IAM member of one account, spelled out so that a plan shows who gets what."""
        return f"serviceAccount:{self._settings.service_account(purpose)}"

    def _project(self, purpose: str, *roles: str) -> None:
        for role in roles:
            ProjectIamMember(
                self,
                f"{purpose}-{role.removeprefix('roles/').replace('.', '-')}",
                project=self._settings.project_id,
                role=role,
                member=self.member(purpose),
                depends_on=[self.accounts[purpose]],
            )

    def _folder(self, purpose: str, folder: str, role: str) -> ITerraformDependable:
        id_ = f"{purpose}-{folder.replace('/', '-')}-{role.rpartition('.')[2]}"
        return self._storage.grant_folder(
            folder, role, to=self.member(purpose), id_=id_, after=[self.accounts[purpose]]
        )

    def _images(self, registry: Registry, purpose: str, role: str) -> None:
        registry.grant(
            role,
            to=self.member(purpose),
            id_=f"{purpose}-{role.rpartition('.')[2]}",
            after=[self.accounts[purpose]],
        )

    def _acts_as(self, purpose: str, other: str) -> None:
        ServiceAccountIamMember(
            self,
            f"{purpose}-acts-as-{other}",
            service_account_id=self.accounts[other].name,
            role=USER,
            member=self.member(purpose),
            depends_on=[self.accounts[purpose]],
        )

    def _workbench(self, registry: Registry) -> None:
        self._project(
            "workbench",
            "roles/aiplatform.user",
            # 'sam-vertex run', 'model release' and 'doctor' look at APIs and quotas first.
            "roles/cloudquotas.viewer",
            "roles/serviceusage.serviceUsageViewer",
            "roles/logging.logWriter",
            "roles/monitoring.metricWriter",
        )
        for folder in (CHECKPOINTS, IMAGES, PIPELINE, PREDICTIONS):
            self._folder("workbench", folder, EDITOR)
        # 'sam-vertex cost' counts the bucket's objects, and a mount looks at the bucket itself.
        self._storage.grant_listing(
            to=self.member("workbench"), id_="workbench-lists", after=[self.accounts["workbench"]]
        )
        self._images(registry, "workbench", "roles/artifactregistry.writer")
        for other in ("serving", "pipeline"):
            self._acts_as("workbench", other)
        for number, email in enumerate(self._settings.users):
            ServiceAccountIamMember(
                self,
                f"user-{number}-acts-as-workbench",
                service_account_id=self.accounts["workbench"].name,
                role=USER,
                member=f"user:{email}",
            )

    def _serving(self, agents: ServiceAgents) -> None:
        self._project("serving", "roles/logging.logWriter")
        self._folder("serving", CHECKPOINTS, VIEWER)  # where AIP_STORAGE_URI is not a copy
        self._folder("serving", IMAGES, VIEWER)  # requests that name an image_uri
        self._folder("serving", PIPELINE, VIEWER)  # the same
        # Requests that name an output_uri: whoever may ask the endpoint makes objects there, and
        # changes nobody's. It reads them to see whether a repeated request has written them.
        self._folder("serving", PREDICTIONS, CREATOR)
        self._folder("serving", PREDICTIONS, VIEWER)
        # "If you also plan to use the user-managed service account for predictions, then you must
        # grant the Service Account Admin role" to Vertex AI's agent, on that account alone
        # (Google's page "Use a custom service account", 2026).
        ServiceAccountIamMember(
            self,
            "vertex-administers-serving",
            service_account_id=self.accounts["serving"].name,
            role="roles/iam.serviceAccountAdmin",
            member=agents.member("aiplatform"),
            depends_on=agents.ready,
        )

    def _pipeline(self, registry: Registry) -> None:
        self._project("pipeline", "roles/aiplatform.user", "roles/logging.logWriter")
        for folder in (CHECKPOINTS, IMAGES):
            self._folder("pipeline", folder, VIEWER)
        self._folder("pipeline", PIPELINE, EDITOR)
        self._storage.grant_listing(
            to=self.member("pipeline"), id_="pipeline-lists", after=[self.accounts["pipeline"]]
        )
        self._images(registry, "pipeline", "roles/artifactregistry.reader")
        # A shard on spot or flex machines is a custom job, which the step that starts it lets act
        # as the same account: "The service account running the pipeline submitting jobs must have
        # act-as permission on this run-as account" (Google's component for custom jobs).
        self._acts_as("pipeline", "pipeline")

    def _build(self, registry: Registry) -> None:
        """What Google's page "Configure user-specified service accounts" lists for a build."""
        self._project("build", "roles/logging.logWriter")
        self._folder("build", BUILD, VIEWER)
        self._images(registry, "build", "roles/artifactregistry.writer")

    def _plan(self) -> None:
        # For a budget the provider asks in the project's name (user_project_override): it uses it.
        usage = "serviceUsageConsumer" if self._settings.budget else "serviceUsageViewer"
        tables = ["roles/bigquery.metadataViewer"] if self._settings.bigquery else []
        self._project("plan", *PLAN_ROLES, *tables, f"roles/serviceusage.{usage}")
        self._folder("plan", STARTUP, VIEWER)
        self._storage.grant_listing(
            to=self.member("plan"), id_="plan-lists", after=[self.accounts["plan"]]
        )
        if self._settings.state_bucket:
            bucket = self._settings.state_bucket
            prefix = f"projects/_/buckets/{bucket}/objects/{state_prefix(self._settings)}"
            # 'terraform init' lists the bucket (backend_state.go of Terraform 1.11.4, Workspaces);
            # a condition on objects' names does not hold for a list.
            StorageBucketIamMember(
                self,
                "plan-lists-state",
                bucket=bucket,
                role="roles/storage.legacyBucketReader",
                member=self.member("plan"),
                depends_on=[self.accounts["plan"]],
            )
            StorageBucketIamMember(
                self,
                "plan-state",
                bucket=self._settings.state_bucket,
                role=VIEWER,  # CI plans without taking the lock
                member=self.member("plan"),
                depends_on=[self.accounts["plan"]],
                condition=StorageBucketIamMemberCondition(
                    title="state-of-this-platform",
                    expression=f'resource.name.startsWith("{prefix}")',
                ),
            )
