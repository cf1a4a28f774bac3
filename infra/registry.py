"""The repository of container images."""

from __future__ import annotations

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_google.artifact_registry_repository import (
    ArtifactRegistryRepository,
    ArtifactRegistryRepositoryCleanupPolicies,
    ArtifactRegistryRepositoryCleanupPoliciesCondition,
    ArtifactRegistryRepositoryCleanupPoliciesMostRecentVersions,
    ArtifactRegistryRepositoryDockerConfig,
)
from cdktf_cdktf_provider_google.artifact_registry_repository_iam_member import (
    ArtifactRegistryRepositoryIamMember,
)
from constructs import Construct

from infra.settings import Settings


class Registry(Construct):
    """A Docker repository in the serving region, where Vertex requires the image to be.

    Attributes:
        repository: the repository.
        uri: what an image's name begins with.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        kms_key: str | None,
        after: list[ITerraformDependable],
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self.repository = ArtifactRegistryRepository(
            self,
            "repository",
            repository_id=f"{settings.prefix}-images",
            format="DOCKER",
            mode="STANDARD_REPOSITORY",
            location=settings.region,
            project=settings.project_id,
            description="Serving and pipeline images; refer to them by digest, tags are immutable.",
            labels={"app": settings.prefix},
            kms_key_name=kms_key,
            docker_config=ArtifactRegistryRepositoryDockerConfig(immutable_tags=True),
            cleanup_policies=[
                ArtifactRegistryRepositoryCleanupPolicies(
                    id="keep-newest",
                    action="KEEP",
                    most_recent_versions=ArtifactRegistryRepositoryCleanupPoliciesMostRecentVersions(
                        keep_count=settings.keep_images
                    ),
                ),
                ArtifactRegistryRepositoryCleanupPolicies(
                    id="delete-untagged",
                    action="DELETE",
                    condition=ArtifactRegistryRepositoryCleanupPoliciesCondition(
                        tag_state="UNTAGGED", older_than=f"{settings.untagged_days}d"
                    ),
                ),
            ],
            depends_on=after,
        )
        self.uri = (
            f"{settings.region}-docker.pkg.dev/{settings.project_id}/{settings.prefix}-images"
        )

    def grant(
        self, role: str, *, to: str, id_: str, after: list[ITerraformDependable]
    ) -> ITerraformDependable:
        """Let a member read or write images of this repository."""
        return ArtifactRegistryRepositoryIamMember(
            self,
            id_,
            project=self._settings.project_id,
            location=self._settings.region,
            # Computed, so that Terraform renews grants when it replaces the repository.
            repository=self.repository.name,
            role=role,
            member=to,
            depends_on=after,
        )
