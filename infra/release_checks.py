"""What a plan looks for before it releases a model: the checkpoint and the image."""

from __future__ import annotations

from cdktf import Precondition
from cdktf_cdktf_provider_google.data_google_artifact_registry_docker_images import (
    DataGoogleArtifactRegistryDockerImages,
)
from cdktf_cdktf_provider_google.data_google_storage_bucket_objects import (
    DataGoogleStorageBucketObjects,
)
from constructs import Construct

from infra.settings import Settings


class ReleaseChecks(Construct):
    """The checkpoint's objects and the registry's images, as they are when Terraform plans.

    Attributes:
        preconditions: of whatever is made for the release, the endpoint first of all.
        content: an expression that changes with every upload of the checkpoint.
    """

    def __init__(self, scope: Construct, id_: str, *, settings: Settings) -> None:
        super().__init__(scope, id_)
        checkpoints = DataGoogleStorageBucketObjects(
            self,
            "checkpoints",
            bucket=settings.checkpoint.removeprefix("gs://").partition("/")[0],
            prefix=_prefix_of(settings.checkpoint),
        )
        host, project, repository = settings.image.split("/")[:3]
        images = DataGoogleArtifactRegistryDockerImages(
            self,
            "images",
            project=project,
            location=host.removesuffix("-docker.pkg.dev"),
            repository_id=repository,
        )
        self.preconditions = [
            Precondition(
                condition=_any_checkpoint(checkpoints.fqn),
                error_message=(
                    f"SAM_CHECKPOINT={settings.checkpoint} holds no checkpoint. "
                    "Upload one: sam-vertex checkpoint upload vit_b"
                ),
            ),
            Precondition(
                condition=_any_image(images.fqn, settings.image),
                error_message=(
                    f"SAM_IMAGE={settings.image} is not in the registry. "
                    "Build and push it: sam-vertex image build"
                ),
            ),
        ]
        # The objects' links name their generation, so every upload runs the release, which
        # recognizes the same content as the same version.
        self.content = f"${{sha256(jsonencode({checkpoints.fqn}.bucket_objects))}}"


def _prefix_of(checkpoint: str) -> str:
    """The object names that a ``gs://`` checkpoint, file or folder, may have."""
    name = checkpoint.removeprefix("gs://").partition("/")[2].rstrip("/")
    return name if name.endswith((".pth", ".pt", ".safetensors")) else f"{name}/"


def _any_checkpoint(objects: str) -> str:
    ending = 'can(regex("[.](pth?|safetensors)$", o.name))'
    return f"${{anytrue([for o in {objects}.bucket_objects : {ending}])}}"


def _any_image(images: str, image: str) -> str:
    """Whether the registry lists an image, by its address."""
    return f'${{contains([for i in {images}.docker_images : i.self_link], "{image}")}}'
