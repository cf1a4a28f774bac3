"""The model on the endpoint. The provider has no resource that deploys one; our own command does.

Two ``terraform_data`` run it:

- *release* runs ``sam-vertex model release`` whenever image, checkpoint, settings or machine
  change. Replacing it destroys nothing: the command deploys the new version beside the old one and
  moves the traffic itself.
- *teardown* is there with and without an image and lives as long as the endpoint. Its destroy
  provisioner runs before that one goes, at destroy or when Terraform replaces it: it undeploys
  everything and deletes the model.

A model that somebody undeployed by hand comes back: a release records ``<epoch>-<deployed model>``
in the bucket, and the endpoint lists its deployed models. If the recorded model is not among them,
the epoch rises by one, the plan shows that, and the release that follows records it.
"""

from __future__ import annotations

import json

from cdktf import DataResource, LocalExecProvisioner, TerraformSelf
from cdktf_cdktf_provider_google.data_google_artifact_registry_docker_images import (
    DataGoogleArtifactRegistryDockerImages,
)
from cdktf_cdktf_provider_google.data_google_storage_bucket_objects import (
    DataGoogleStorageBucketObjects,
)
from cdktf_cdktf_provider_google.vertex_ai_endpoint import VertexAiEndpoint
from constructs import Construct

from infra.operator_command import sam_vertex
from infra.settings import Settings

RECORDS = "serving"  # folder of the bucket in which releases record themselves


class Model(Construct):
    """A model version on the endpoint; preconditions check it before Terraform creates anything.

    Args:
        endpoint: to deploy on; Terraform does not create it while image or checkpoint is missing.
        plan: what ``sam-vertex model release`` needs.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        endpoint: VertexAiEndpoint,
        plan: dict[str, object],
    ) -> None:
        super().__init__(scope, id_)
        # Terraform takes only a bare reference here; ``fqn`` would be an interpolation.
        identity = f"{endpoint.terraform_resource_type}.{endpoint.friendly_unique_id}.id"
        teardown = DataResource(
            self,
            "teardown",
            # Neither image nor checkpoint: whoever destroys need not know them.
            input={"plan": json.dumps({**plan, "image": "", "checkpoint": ""}, sort_keys=True)},
            provisioners=[
                LocalExecProvisioner(
                    type="local-exec",
                    when="destroy",
                    command=sam_vertex("model teardown"),
                    environment={"SAM_VERTEX_RELEASE": TerraformSelf.get_string("input.plan")},
                )
            ],
            depends_on=[endpoint],
        )
        teardown.add_override("lifecycle.replace_triggered_by", [identity])
        if settings.image:
            self._release(settings, endpoint, plan, teardown, identity)
        else:
            # A plan without an image would forget what serves and bills. Destroy does not ask.
            check = {
                "condition": f"${{length({endpoint.fqn}.deployed_models) == 0}}",
                "error_message": (
                    "A model is deployed, and SAM_IMAGE is not set. Set SAM_IMAGE and "
                    "SAM_CHECKPOINT to keep it, or undeploy it: sam-vertex model undeploy"
                ),
            }
            teardown.add_override("lifecycle.precondition", [check])

    def _release(
        self,
        settings: Settings,
        endpoint: VertexAiEndpoint,
        plan: dict[str, object],
        teardown: DataResource,
        identity: str,
    ) -> None:
        checkpoints = self._objects("checkpoints", settings, _prefix_of(settings.checkpoint))
        records = self._objects("records", settings, f"{RECORDS}/{settings.endpoint_name}/")
        images = self._images(settings)
        checks = [
            {
                "condition": _any_checkpoint(checkpoints.fqn),
                "error_message": (
                    f"SAM_CHECKPOINT={settings.checkpoint} holds no checkpoint. "
                    "Upload one: sam-vertex checkpoint upload vit_b"
                ),
            },
            {
                "condition": _any_image(images.fqn, settings.image),
                "error_message": (
                    f"SAM_IMAGE={settings.image} is not in the registry. "
                    "Build and push it: sam-vertex image build"
                ),
            },
        ]
        endpoint.add_override("lifecycle.precondition", checks)
        text = json.dumps(plan, sort_keys=True)
        epoch = _epoch(records.fqn, endpoint.fqn)
        in_place = " --in-place" if settings.serving_in_place else ""
        release = DataResource(
            self,
            "release",
            triggers_replace={
                "image": settings.image,
                "checkpoint": settings.checkpoint,
                # The objects' links name their generation, so every upload runs the command, which
                # recognizes the same content as the same version.
                "checkpoint_objects": f"${{sha256(jsonencode({checkpoints.fqn}.bucket_objects))}}",
                "plan": text,
                "repairs": epoch,
            },
            provisioners=[
                LocalExecProvisioner(
                    type="local-exec",
                    command=sam_vertex(f"model release{in_place}"),
                    environment={"SAM_VERTEX_RELEASE": text, "SAM_VERTEX_EPOCH": epoch},
                )
            ],
            depends_on=[endpoint, teardown],
        )
        release.add_override("lifecycle.precondition", checks)
        release.add_override("lifecycle.replace_triggered_by", [identity])

    def _objects(self, id_: str, settings: Settings, prefix: str) -> DataGoogleStorageBucketObjects:
        bucket = settings.bucket_name
        if id_ == "checkpoints":
            bucket = settings.checkpoint.removeprefix("gs://").partition("/")[0]
        return DataGoogleStorageBucketObjects(self, id_, bucket=bucket, prefix=prefix)

    def _images(self, settings: Settings) -> DataGoogleArtifactRegistryDockerImages:
        host, project, repository = settings.image.split("/")[:3]
        return DataGoogleArtifactRegistryDockerImages(
            self,
            "images",
            project=project,
            location=host.removesuffix("-docker.pkg.dev"),
            repository_id=repository,
        )


def _prefix_of(checkpoint: str) -> str:
    """The object names that a ``gs://`` checkpoint, file or folder, may have."""
    name = checkpoint.removeprefix("gs://").partition("/")[2].rstrip("/")
    return name if name.endswith((".pth", ".pt")) else f"{name}/"


def _any_checkpoint(objects: str) -> str:
    ending = 'can(regex("[.]pth?$", o.name))'
    return f"${{anytrue([for o in {objects}.bucket_objects : {ending}])}}"


def _any_image(images: str, image: str) -> str:
    """Whether the registry lists an image, by its address."""
    return f'${{contains([for i in {images}.docker_images : i.self_link], "{image}")}}'


def _epoch(records: str, endpoint: str) -> str:
    """Terraform's expression: the recorded epoch, or the next one if its deployment is gone."""
    names = f'[for o in {records}.bucket_objects : reverse(split("/", o.name))[0]]'
    recorded = f'split("-", {names}[0])'
    deployed = f"[for m in {endpoint}.deployed_models : m.id]"
    missing = f"contains({deployed}, {recorded}[1]) ? 0 : 1"
    return (
        f'${{length({records}.bucket_objects) == 0 ? "0" : '
        f"tostring(tonumber({recorded}[0]) + ({missing}))}}"
    )
