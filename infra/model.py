"""The model on the endpoint. The provider has no resource that deploys one; our own command does.

Two ``terraform_data`` run it:

- *release* runs ``sam-vertex model release`` whenever image, checkpoint, settings or machine
  change. Replacing it destroys nothing: the command deploys the new version beside the old one and
  moves the traffic itself.
- *teardown* is there with and without an image and lives as long as the endpoint. Its destroy
  provisioner runs before that one goes, at destroy or when Terraform replaces it: it undeploys
  everything and deletes the model.

A model that somebody undeployed stays undeployed until somebody asks for it. Until then a ``check``
warns in every plan.
"""

from __future__ import annotations

import json

from cdktf import (
    DataResource,
    LocalExecProvisioner,
    Precondition,
    TerraformResourceLifecycle,
    TerraformSelf,
    TerraformStack,
)
from cdktf_cdktf_provider_google.vertex_ai_endpoint import VertexAiEndpoint
from constructs import Construct

from infra.operator_command import sam_vertex
from infra.release_checks import ReleaseChecks
from infra.settings import Settings


class Model(Construct):
    """A model version on the endpoint.

    Args:
        endpoint: to deploy on.
        plan: what ``sam-vertex model release`` needs.
        checks: of image and checkpoint; ``None`` without an image.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        endpoint: VertexAiEndpoint,
        plan: dict[str, object],
        checks: ReleaseChecks | None,
    ) -> None:
        super().__init__(scope, id_)
        # Terraform takes only a bare reference here; ``fqn`` would be an interpolation.
        identity = f"{endpoint.terraform_resource_type}.{endpoint.friendly_unique_id}.id"
        # A plan without an image would forget what serves and bills. Destroy does not ask.
        forgotten = Precondition(
            condition=f"${{length({endpoint.fqn}.deployed_models) == 0}}",
            error_message=(
                "A model is deployed, and SAM_IMAGE is not set. Set SAM_IMAGE and "
                "SAM_CHECKPOINT to keep it, or undeploy it: sam-vertex model undeploy"
            ),
        )
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
            lifecycle=TerraformResourceLifecycle(
                replace_triggered_by=[identity], precondition=None if checks else [forgotten]
            ),
            depends_on=[endpoint],
        )
        if checks is None:
            return
        text = json.dumps(plan, sort_keys=True)
        in_place = " --in-place" if settings.serving_in_place else ""
        DataResource(
            self,
            "release",
            triggers_replace={
                "image": settings.image,
                "checkpoint": settings.checkpoint,
                "checkpoint_objects": checks.content,
                "plan": text,
            },
            provisioners=[
                LocalExecProvisioner(
                    type="local-exec",
                    command=sam_vertex(f"model release{in_place}"),
                    environment={"SAM_VERTEX_RELEASE": text},
                )
            ],
            lifecycle=TerraformResourceLifecycle(
                replace_triggered_by=[identity], precondition=checks.preconditions
            ),
            depends_on=[endpoint, teardown],
        )
        self._warn_where_nothing_serves(endpoint)

    def _warn_where_nothing_serves(self, endpoint: VertexAiEndpoint) -> None:
        """Terraform knows what is deployed from before a release, and nothing of a new endpoint."""
        serves = f"length({endpoint.fqn}.deployed_models) > 0"
        new = f"timecmp({endpoint.fqn}.create_time, plantimestamp()) >= 0"
        check = {
            "condition": f"${{{serves} || {new}}}",
            "error_message": (
                "When this command began, no model was deployed on the endpoint: somebody "
                "undeployed it, or a release failed. sam-vertex model list shows what serves; "
                "sam-vertex model release deploys the one of the settings."
            ),
        }
        TerraformStack.of(self).add_override("check", {"endpoint_serves": {"assert": [check]}})
