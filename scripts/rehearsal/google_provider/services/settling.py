"""APIs that were enabled a moment ago, and answer as if they were not."""

from __future__ import annotations

from typing import Any

from scripts.rehearsal.google_provider.world import World

# On from the start, in a project that somebody made by hand, as far as anything here asks:
# docs.cloud.google.com/service-usage/docs/enabled-service, "Services enabled by default".
DEFAULT_APIS = ("logging", "monitoring", "serviceusage", "storage")
# What docs/deploying.md tells an operator to turn on before anything: nothing can be planned
# without cloudresourcemanager, by which google_project_service reads the project
# (resource_google_project_service.go, 6.50.0), and the doctor asks by the other two.
TURNED_ON_FIRST = ("cloudbilling", "cloudquotas", "cloudresourcemanager")
ON_ALREADY = (*DEFAULT_APIS, *TURNED_ON_FIRST)
DISABLED = (
    "has not been used in project {project} before or it is disabled. Enable it by visiting "
    "https://console.developers.google.com/apis/api/{api}/overview?project={project} then retry. "
    "If you enabled this API recently, wait a few minutes for the action to propagate to our "
    "systems and retry."
)


def begin_to_settle(contents: dict[str, Any], api: str) -> None:
    """Note that an API was enabled: its first calls, ``settling_calls`` of the world, meet 403."""
    calls = int(contents.get("settling_calls", 0))
    if calls and api.removesuffix(".googleapis.com") not in ON_ALREADY:
        contents.setdefault("settling", {})[api] = calls


def settles(world: World, api: str) -> bool:
    """Whether a call still meets an API that does not know of its enabling; counts the call."""
    if not world.read().get("settling", {}).get(api):
        return False
    with world.open() as contents:
        left = contents.get("settling", {})
        left[api] = max(int(left.get(api, 0)) - 1, 0)
    return True
