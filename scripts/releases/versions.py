"""The versions of a model: what each is made of, its traffic, what it costs an hour."""

from __future__ import annotations

import json
from typing import Any

from scripts.cloud.vertex_sdk import patiently
from scripts.costs.prices import hourly
from scripts.releases.release import Releases


def listing(releases: Releases) -> list[dict[str, Any]]:
    """Every version with what it is made of, its traffic, and what it costs an hour."""
    from google.api_core.exceptions import NotFound

    deployed: list[Any] = []
    split: dict[str, int] = {}
    try:
        endpoint = patiently(lambda: releases.sdk.Endpoint(releases.plan.endpoint_name))
        deployed, split = patiently(endpoint.list_models), dict(endpoint.traffic_split or {})
    except NotFound:
        releases.tell(f"endpoint {releases.plan.endpoint_id} does not exist")
    rows = []
    for version in releases.versions():
        here = [one for one in deployed if one.model_version_id == version.version_id]
        prices = [_price(one) for one in here]
        rows.append(
            {
                "version": version.version_id,
                "aliases": list(version.version_aliases),
                **about_version(version.version_description),
                "created": str(version.version_create_time),
                "deployed_model_ids": [one.id for one in here],
                "traffic_percent": sum(split.get(one.id, 0) for one in here),
                "usd_an_hour": None if None in prices else round(sum(map(_number, prices)), 4),
            }
        )
    return rows


def _number(price: float | None) -> float:
    return price or 0.0


def _price(deployed: Any) -> float | None:
    resources = deployed.dedicated_resources
    machine = resources.machine_spec
    kind = machine.accelerator_type.name if machine.accelerator_type else ""
    if kind == "ACCELERATOR_TYPE_UNSPECIFIED":
        kind = ""
    return hourly(
        machine.machine_type, kind, machine.accelerator_count, resources.min_replica_count
    )


def about_version(description: str) -> dict[str, str]:
    """What a release wrote of a version; empty where something else made it."""
    try:
        about = json.loads(description or "{}")
    except ValueError:
        about = {}
    keys = ("image", "checkpoint", "checkpoint_digest")
    return {key: str(about.get(key, "")) for key in keys}
