"""What a world knows of its projects beside the resources that Terraform made."""

from __future__ import annotations

from typing import Any

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.google_provider.services.identity import project_number

# On from the start, in a project that somebody made by hand, as far as anything here asks:
# docs.cloud.google.com/service-usage/docs/enabled-service, "Services enabled by default".
DEFAULT_APIS = ("logging", "monitoring", "serviceusage", "storage")
# Nothing can be planned without it, so an operator turns it on first: google_project_service reads
# the project by it (resource_google_project_service.go, 6.50.0).
TURNED_ON_FIRST = ("cloudresourcemanager",)
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
    return sorted(own | {f"{name}.googleapis.com" for name in (*DEFAULT_APIS, *TURNED_ON_FIRST)})


def refuse_disabled(world: Json, project_id: str, api: str) -> None:
    """Refuse a call of an API that is not on.

    Raises:
        ApiError: 403 SERVICE_DISABLED.
    """
    if api in enabled_apis(world, project_id):
        return
    raise ApiError(
        403,
        f"{api} has not been used in project {project_number(project_id)} before or it is "
        "disabled. Enable it by visiting https://console.developers.google.com/apis/api/"
        f"{api}/overview?project={project_number(project_id)} then retry. If you enabled this API "
        "recently, wait a few minutes for the action to propagate to our systems and retry.",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "SERVICE_DISABLED",
                "domain": "googleapis.com",
                "metadata": {
                    "service": api,
                    "consumer": f"projects/{project_number(project_id)}",
                },
            }
        ],
    )


def quotas(world: Json) -> Json:
    """How many GPUs the projects of a world may use, by id of the quota."""
    return {**QUOTAS, **world.get("quotas", {})}
