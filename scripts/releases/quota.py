"""Whether the project's quota has room for a model's accelerators, before a release uploads one."""

from __future__ import annotations

from google.auth.exceptions import GoogleAuthError

from scripts.cloud.project_services import can_be_asked
from scripts.cloud.quotas import read_quota, request_line
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import Report

_SERVICE = "aiplatform.googleapis.com"
# gcloud 528, surface/ai/endpoints, _ACCELERATOR_TYPE_TO_QUOTA_ID_MAP.
_QUOTAS = {
    "NVIDIA_TESLA_T4": "CustomModelServingT4GPUsPerProjectPerRegion",
    "NVIDIA_L4": "CustomModelServingL4GPUsPerProjectPerRegion",
}


def check_serving_quota(request: ReleaseRequest, report: Report) -> None:
    """Refuse a release whose replicas need more accelerators than the project may have.

    Whether a second version fits beside the first only the deployment tells, because a quota does
    not say how much of it is in use. What cannot be read is no reason to refuse.

    Args:
        request: names accelerator and replicas.
        report: prints a line of progress.

    Raises:
        OperatorError: the quota is smaller.
    """
    quota = _QUOTAS.get(request.accelerator)
    if quota is None or request.spot or not can_be_asked():
        return  # gcloud's table has no id for spot replicas; UNVERIFIED which quota they count in
    needed = request.min_replicas * request.accelerator_count
    try:
        value = read_quota(request.project_id, request.region, _SERVICE, quota)
    except (OperatorError, GoogleAuthError) as error:
        report(f"the quota {quota} was not read: {error}")
        return
    if value is None or value == -1 or value >= needed:
        return
    raise OperatorError(
        f"the model needs {needed} of {quota} in {request.region}; the project has {value}",
        hint="ask for it: "
        + request_line(request.project_id, _SERVICE, quota, needed, request.region),
        exit_code=CLOUD,
    )
