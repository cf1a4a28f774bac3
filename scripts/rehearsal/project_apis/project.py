"""What a world knows of its projects beside the resources that Terraform made."""

from __future__ import annotations

from typing import Any

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.google_provider.services.settling import DISABLED, ON_ALREADY

# Quotas by id as far as `sam-vertex doctor` asks; a project has used Google Cloud for a while.
QUOTAS = {
    "CustomModelServingT4GPUsPerProjectPerRegion": 2,
    "CustomModelTrainingT4GPUsPerProjectPerRegion": 2,
    "CustomModelServingL4GPUsPerProjectPerRegion": 2,
    "CustomModelTrainingL4GPUsPerProjectPerRegion": 2,
    "NVIDIA-T4-GPUS-per-project-region": 2,
    "GPUS-ALL-REGIONS-per-project": 2,
}
Json = dict[str, Any]


def enabled_apis(world: Json, project_id: str) -> list[str]:
    """The APIs that are on, such as ``storage.googleapis.com``."""
    made = world["resources"].get("google_project_service", {}).values()
    own = {str(values["service"]) for values in made if values["project"] == project_id}
    return sorted(own | {f"{name}.googleapis.com" for name in ON_ALREADY})


def refuse_disabled(world: Json, project_id: str, api: str) -> None:
    """Refuse a call of an API that is not on.

    Raises:
        ApiError: 403 SERVICE_DISABLED.
    """
    if api in enabled_apis(world, project_id):
        return
    raise disabled(project_id, api)


def disabled(project_id: str, api: str) -> ApiError:
    """The refusal of an API that is off, or was turned on a moment ago."""
    number = project_number(project_id)
    return ApiError(
        403,
        f"{api} {DISABLED.format(project=number, api=api)}",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "SERVICE_DISABLED",
                "domain": "googleapis.com",
                "metadata": {
                    "service": api,
                    "consumer": f"projects/{number}",
                },
            }
        ],
    )


def quotas(world: Json) -> Json:
    """How many GPUs the projects of a world may use, by id of the quota."""
    return {**QUOTAS, **world.get("quotas", {})}
