"""What exists in a local cloud; after a destroy that must be nothing."""

from __future__ import annotations

import json
import urllib.request

from scripts.rehearsal.local_cloud import Cloud


def resource_count(cloud: Cloud) -> int:
    """How many resources Terraform has made."""
    if not cloud.world_path.exists():
        return 0
    kinds = json.loads(cloud.world_path.read_text("utf-8"))["resources"]
    return sum(len(resources) for resources in kinds.values())


def remains(cloud: Cloud) -> list[str]:
    """Everything that exists, such as ``2 models``: resources, models, jobs that run, buckets."""
    vertex = json.loads(cloud.world_path.read_text("utf-8"))["vertex"]
    counts = {
        "resources": resource_count(cloud),
        "models": len(vertex["models"]),
        "deployments": len(vertex["deployments"]),
        "running pipelines": sum(not job.get("endTime") for job in vertex["pipelines"].values()),
    }
    url = f"{cloud.storage_url}/storage/v1/b"
    with urllib.request.urlopen(url, timeout=10) as reply:  # noqa: S310
        buckets = json.load(reply).get("items", [])
    return [
        *(f"{count} {kind}" for kind, count in counts.items() if count),
        *(f"bucket {bucket['name']}" for bucket in buckets),
    ]
