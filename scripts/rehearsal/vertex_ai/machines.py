"""Machines and accelerators: which go together, and how many a project may use."""

from __future__ import annotations

import re

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.project_apis.project import quotas
from scripts.rehearsal.vertex_ai.state import Json

# The SDK sends enums by number (google/cloud/aiplatform/v1/accelerator_type.proto).
ACCELERATORS = {0: "", 3: "NVIDIA_TESLA_V100", 5: "NVIDIA_TESLA_T4", 11: "NVIDIA_L4"}
T4 = "NVIDIA_TESLA_T4"
T4_MACHINES = re.compile(r"n1-(standard|highmem|highcpu)-(1|2|4|8|16|32)")


def accelerator_name(machine: Json) -> str:
    """The accelerator of a machine by its name; empty where it has none.

    Raises:
        ApiError: its number is unknown.
    """
    kind = machine.get("acceleratorType", "")
    if isinstance(kind, int):
        if kind not in ACCELERATORS:
            raise ApiError(400, f"Accelerator {kind} is not known here.")
        kind = ACCELERATORS[kind]
    return "" if kind == "ACCELERATOR_TYPE_UNSPECIFIED" else str(kind)


def takes_accelerator(machine: Json) -> bool:
    """Whether a type of machine can have the accelerator of the request."""
    if accelerator_name(machine) != T4:
        return True
    return T4_MACHINES.fullmatch(str(machine.get("machineType", ""))) is not None


def most_accelerators(resources: Json) -> Json:
    """How many accelerators a deployment may use at most, by name."""
    machine = resources.get("machineSpec") or {}
    kind = accelerator_name(machine)
    count = int(machine.get("acceleratorCount", 0)) * int(resources.get("maxReplicaCount", 1))
    return {kind: count} if kind else {}


def check_resources(resources: Json, world: Json) -> None:
    """Refuse machines, accelerators or replicas that cannot be, or are beyond the quota.

    Raises:
        ApiError: with the service's message.
    """
    machine = resources.get("machineSpec") or {}
    kind, machine_type = accelerator_name(machine), str(machine.get("machineType", ""))
    if not machine_type:
        raise ApiError(400, "dedicated_resources.machine_spec.machine_type is required.")
    if kind and not int(machine.get("acceleratorCount", 0)):
        raise ApiError(400, "accelerator_count is required with accelerator_type.")
    if not takes_accelerator(machine):
        raise ApiError(400, f"Machine type {machine_type} does not support accelerator {kind}.")
    least, most = int(resources.get("minReplicaCount", 0)), int(resources.get("maxReplicaCount", 0))
    if least < 1 or (most and most < least):
        raise ApiError(400, "min_replica_count must be at least 1 and at most max_replica_count.")
    for name, count in most_accelerators({**resources, "maxReplicaCount": most or least}).items():
        _check_quota(name, count, world)


def _check_quota(accelerator: str, count: int, world: Json) -> None:
    used = sum(
        int(deployment["gpus"].get(accelerator, 0))
        for deployments in world["vertex"]["deployments"].values()
        for deployment in deployments.values()
    )
    _refuse_beyond("Serving", accelerator, used, count, world)


def check_training_quota(accelerator: str, count: int, world: Json) -> None:
    """Refuse the tasks of a job that need more accelerators at once than the project may train on.

    A task beyond the quota does not wait: it fails (GoogleCloudPlatform/vertex-ai-samples, 700).

    Raises:
        ApiError: 429.
    """
    if accelerator:
        _refuse_beyond("Training", accelerator, 0, count, world)


def _refuse_beyond(purpose: str, accelerator: str, used: int, count: int, world: Json) -> None:
    model = accelerator.removeprefix("NVIDIA_").removeprefix("TESLA_")
    quota = int(quotas(world).get(f"CustomModel{purpose}{model}GPUsPerProjectPerRegion", 0))
    if used + count > quota:
        metric = f"custom_model_{purpose.lower()}_nvidia_{model.lower()}_gpus"
        raise ApiError(
            429,
            "The following quota metrics exceed quota limits: "
            f"aiplatform.googleapis.com/{metric} ({used} used, {count} asked, {quota} allowed)",
        )
