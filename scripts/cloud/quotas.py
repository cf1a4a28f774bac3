"""How much of something a project may use in a region, as the Cloud Quotas API tells it."""

from __future__ import annotations

from typing import Any

from scripts.cloud.project_services import fetch


def read_quota(project_id: str, region: str, service: str, quota_id: str) -> int | None:
    """Read a quota; -1 is no limit, ``None`` means that the answer names none for the region.

    Raises:
        OperatorError: the API refuses or does not answer.
        google.auth.exceptions.GoogleAuthError: no credentials that Google accepts.
    """
    path = f"/v1/projects/{project_id}/locations/global/services/{service}/quotaInfos/{quota_id}"
    return quota_value(fetch("cloudquotas.googleapis.com", path, project_id), region)


def quota_value(answer: dict[str, Any], region: str) -> int | None:
    """The value that holds in a region: the first entry that means it, the specific ones first.

    Cloud Quotas API, REST resource quotaInfos: "ordered by their dimensions from more specific
    ones to less specific ones"; numbers are text there.
    """
    for entry in answer.get("dimensionsInfos", []):
        named = entry.get("dimensions", {}).get("region")
        places = entry.get("applicableLocations", [])
        if named == region or (named is None and (not places or {region, "global"} & set(places))):
            return int(entry.get("details", {}).get("value", 0))
    return None


def request_line(project_id: str, service: str, quota_id: str, value: int, region: str = "") -> str:
    """The command that asks for more of a quota; ``region`` is empty for one of the project."""
    dimensions = f" --dimensions=region={region}" if region else ""
    return (
        f"gcloud beta quotas preferences create --project={project_id} --service={service} "
        f"--quota-id={quota_id} --preferred-value={value}{dimensions}"
    )
