"""Deployed models in the form of the Terraform provider, whose refresh reads them."""

from __future__ import annotations

from scripts.rehearsal.vertex_ai.machines import accelerator_name
from scripts.rehearsal.vertex_ai.state import Json, endpoint_values


def publish_deployments(world: Json, name: str) -> None:
    """Write what is deployed to an endpoint into the provider's resource of it."""
    deployments = world["vertex"]["deployments"].get(name, {}).values()
    endpoint_values(world, name)["deployed_models"] = [
        _deployed_model(item["shown"]) for item in deployments if item["ready"]
    ]


def _deployed_model(model: Json) -> Json:
    """An item of the provider's ``deployed_models``."""
    resources = model["dedicatedResources"]
    machine = resources["machineSpec"]
    return {
        "id": model["id"],
        "model": model["model"],
        "model_version_id": model["modelVersionId"],
        "display_name": model["displayName"],
        "create_time": model["createTime"],
        "service_account": model.get("serviceAccount", ""),
        "enable_access_logging": bool(model.get("enableAccessLogging")),
        "enable_container_logging": not model.get("disableContainerLogging"),
        "shared_resources": "",
        "automatic_resources": [],
        "private_endpoints": [],
        "dedicated_resources": [
            {
                "min_replica_count": int(resources.get("minReplicaCount", 1)),
                "max_replica_count": int(resources.get("maxReplicaCount", 1)),
                "autoscaling_metric_specs": [
                    {"metric_name": spec.get("metricName"), "target": spec.get("target")}
                    for spec in resources.get("autoscalingMetricSpecs", [])
                ],
                "machine_spec": [
                    {
                        "machine_type": machine.get("machineType", ""),
                        "accelerator_type": accelerator_name(machine),
                        "accelerator_count": int(machine.get("acceleratorCount", 0)),
                    }
                ],
            }
        ],
    }
