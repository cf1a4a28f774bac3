"""The table of a model's versions: what each is made of, its traffic, what it costs an hour."""

from __future__ import annotations

from typing import Any

from scripts.cloud.vertex_sdk import patiently
from scripts.costs.prices import hourly
from scripts.releases.registry import description_of
from scripts.releases.release import Releases


def version_table(releases: Releases) -> list[dict[str, Any]]:
    """A row for every version, oldest first.

    ``usd_an_hour`` is ``None`` where no price is known of one of its machines.
    """
    from google.api_core.exceptions import NotFound

    request = releases.request
    deployed: list[Any] = []
    split: dict[str, int] = {}
    try:
        endpoint = patiently(lambda: releases.sdk.Endpoint(request.endpoint_name))
        deployed, split = patiently(endpoint.list_models), dict(endpoint.traffic_split or {})
    except NotFound:
        releases.report(f"endpoint {request.endpoint_id} does not exist")
    rows = []
    for version in releases.registry.versions():
        deployments = [item for item in deployed if item.model_version_id == version.version_id]
        prices = [_usd_an_hour(deployment) for deployment in deployments]
        known = [price for price in prices if price is not None]
        rows.append(
            {
                "version": version.version_id,
                "aliases": list(version.version_aliases),
                **description_of(version),
                "created": str(version.version_create_time),
                "deployed_model_ids": [deployment.id for deployment in deployments],
                "traffic_percent": sum(split.get(deployment.id, 0) for deployment in deployments),
                "usd_an_hour": round(sum(known), 4) if len(known) == len(prices) else None,
            }
        )
    return rows


def _usd_an_hour(deployment: Any) -> float | None:
    resources = deployment.dedicated_resources
    machine = resources.machine_spec
    accelerator = machine.accelerator_type.name if machine.accelerator_type else ""
    if accelerator == "ACCELERATOR_TYPE_UNSPECIFIED":
        accelerator = ""
    return hourly(
        machine.machine_type, accelerator, machine.accelerator_count, resources.min_replica_count
    )
