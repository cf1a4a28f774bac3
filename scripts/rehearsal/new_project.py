"""A project that was made today: what it lacks when the first deployment begins."""

from __future__ import annotations

from scripts.rehearsal.google_provider.world import World

# What a new project may use, by id of the quota: one T4 to serve with, one to train with, one in
# Compute Engine (cloud.google.com/vertex-ai/docs/quotas; the amounts differ among projects).
NEW_QUOTAS = {
    "CustomModelServingT4GPUsPerProjectPerRegion": 1,
    "CustomModelTrainingT4GPUsPerProjectPerRegion": 1,
    "CustomModelServingL4GPUsPerProjectPerRegion": 1,
    "CustomModelTrainingL4GPUsPerProjectPerRegion": 1,
    "NVIDIA-T4-GPUS-per-project-region": 1,
    "GPUS-ALL-REGIONS-per-project": 1,
}
# What many get with a free trial: no GPU anywhere until somebody asks for one.
ALL_REGIONS = "GPUS-ALL-REGIONS-per-project"


def make_new(world: World, *, gpus: bool = True) -> None:
    """Make a world whose project is new: no service agent, and quotas of one GPU.

    An API that is enabled refuses its first call as if it were not. Vertex AI answers its first
    upload with "Service Agents are being provisioned", and an endpoint its first request after each
    change with 503.

    Args:
        world: a world in which nothing exists.
        gpus: whether the quota of GPUs in all regions is one; zero otherwise.
    """
    with world.open() as contents:
        contents["agents"] = []
        contents["settling_calls"] = 1  # that an API refuses after it was enabled
        contents["provisioning"] = 1  # calls that meet agents which are being made
        contents["unsettled_requests"] = 1  # that an endpoint refuses after each change
        contents["quotas"] = {**NEW_QUOTAS, ALL_REGIONS: int(gpus)}
