"""What may be deployed on which machine, and how a deployed model is shown."""

from __future__ import annotations

import json
import re
from typing import Any

from scripts.rehearsal.vertex_ai.errors import ApiError
from scripts.rehearsal.vertex_ai.state import Json

# The SDK sends enums by number (google/cloud/aiplatform/v1/accelerator_type.proto).
ACCELERATORS = {0: "", 3: "NVIDIA_TESLA_V100", 5: "NVIDIA_TESLA_T4", 11: "NVIDIA_L4"}
T4_MACHINES = re.compile(r"n1-(standard|highmem|highcpu)-(1|2|4|8|16|32)")


def split_text(split: Json) -> str:
    """A split of traffic as the provider writes it."""
    return json.dumps({k: int(v) for k, v in split.items() if int(v)}) if split else ""


def named_accelerator(machine: Json) -> str:
    """The accelerator of a machine by its name; empty where it has none."""
    kind = machine.get("acceleratorType", "")
    if isinstance(kind, int):
        if kind not in ACCELERATORS:
            raise ApiError(400, f"Accelerator {kind} is not known here.")
        kind = ACCELERATORS[kind]
    return "" if kind == "ACCELERATOR_TYPE_UNSPECIFIED" else str(kind)


def gpus(resources: Json) -> Json:
    """Accelerators that a deployment may take at most."""
    machine = resources.get("machineSpec") or {}
    kind = named_accelerator(machine)
    count = int(machine.get("acceleratorCount", 0)) * int(resources.get("maxReplicaCount", 1))
    return {kind: count} if kind else {}


def check_resources(resources: Json, world: Json) -> None:
    """Machine, accelerator, replicas, and the quota of the project."""
    machine = resources.get("machineSpec") or {}
    kind, size = named_accelerator(machine), str(machine.get("machineType", ""))
    if not size:
        raise ApiError(400, "dedicated_resources.machine_spec.machine_type is required.")
    if kind and not int(machine.get("acceleratorCount", 0)):
        raise ApiError(400, "accelerator_count is required with accelerator_type.")
    if kind == "NVIDIA_TESLA_T4" and not T4_MACHINES.fullmatch(size):
        raise ApiError(400, f"Machine type {size} does not support accelerator {kind}.")
    low, high = int(resources.get("minReplicaCount", 0)), int(resources.get("maxReplicaCount", 0))
    if low < 1 or (high and high < low):
        raise ApiError(400, "min_replica_count must be at least 1 and at most max_replica_count.")
    wanted = gpus({**resources, "maxReplicaCount": high or low})
    for name, count in wanted.items():
        used = sum(
            int(one["gpus"].get(name, 0))
            for found in world["vertex"]["deployments"].values()
            for one in found.values()
        )
        quota = int(world["vertex"]["quotas"].get(name, 0))
        if used + count > quota:
            metric = f"custom_model_serving_{name.lower().replace('tesla_', '')}_gpus"
            raise ApiError(
                429,
                "The following quota metrics exceed quota limits: "
                f"aiplatform.googleapis.com/{metric} ({used} used, {count} asked, {quota} allowed)",
            )


def check_account(email: str, world: Json) -> None:
    """Refuse a service account that does not exist."""
    accounts = world["resources"].get("google_service_account", {})
    if email and accounts and not any(email in str(id_) for id_ in accounts):
        raise ApiError(400, f"Service account {email} does not exist.")


def for_provider(shown: Json) -> Json:
    """A deployed model in the form of the provider's ``deployed_models``."""
    resources = shown["dedicatedResources"]
    machine = resources["machineSpec"]
    targets: list[Any] = [
        {"metric_name": one.get("metricName"), "target": one.get("target")}
        for one in resources.get("autoscalingMetricSpecs", [])
    ]
    return {
        "id": shown["id"],
        "model": shown["model"],
        "model_version_id": shown["modelVersionId"],
        "display_name": shown["displayName"],
        "create_time": shown["createTime"],
        "service_account": shown.get("serviceAccount", ""),
        "enable_access_logging": bool(shown.get("enableAccessLogging")),
        "enable_container_logging": not shown.get("disableContainerLogging"),
        "shared_resources": "",
        "automatic_resources": [],
        "private_endpoints": [],
        "dedicated_resources": [
            {
                "min_replica_count": int(resources.get("minReplicaCount", 1)),
                "max_replica_count": int(resources.get("maxReplicaCount", 1)),
                "autoscaling_metric_specs": targets,
                "machine_spec": [
                    {
                        "machine_type": machine.get("machineType", ""),
                        "accelerator_type": named_accelerator(machine),
                        "accelerator_count": int(machine.get("acceleratorCount", 0)),
                    }
                ],
            }
        ],
    }
