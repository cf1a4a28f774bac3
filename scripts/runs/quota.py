"""Whether the project's quota has room for the shards that a run computes at once."""

from __future__ import annotations

from google.auth.exceptions import GoogleAuthError

from scripts.cloud.deployment import Deployment
from scripts.cloud.project_services import can_be_asked
from scripts.cloud.quotas import read_quota, request_line
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import report_event

_SERVICE = "aiplatform.googleapis.com"
# Error messages name the metric custom_model_training_nvidia_t4_gpus. UNVERIFIED: the ids of the
# quotas, which follow those of serving (gcloud 528, surface/ai/endpoints,
# _ACCELERATOR_TYPE_TO_QUOTA_ID_MAP).
_QUOTAS = {
    ("NVIDIA_TESLA_T4", False): "CustomModelTrainingT4GPUsPerProjectPerRegion",
    ("NVIDIA_L4", False): "CustomModelTrainingL4GPUsPerProjectPerRegion",
    ("NVIDIA_TESLA_T4", True): "CustomModelTrainingPreemptibleT4GPUsPerProjectPerRegion",
    ("NVIDIA_L4", True): "CustomModelTrainingPreemptibleL4GPUsPerProjectPerRegion",
}


def check_quota(
    deployment: Deployment, accelerator: str, at_once: int, capacity: str = "standard"
) -> None:
    """Refuse a run that asks for more GPUs at once than the project may use.

    A task over the quota does not wait for it but fails, after everything else was started. What
    cannot be read is no reason to refuse: not everybody may read quotas.

    Args:
        deployment: whose project and region the run is in.
        accelerator: of a shard's machine; empty for none.
        at_once: shards that run at once.
        capacity: spot and flex machines have a quota of their own, that of preemptible GPUs
            ("Schedule training jobs based on resource availability", Quota; of spot UNVERIFIED).

    Raises:
        OperatorError: the quota is smaller.
    """
    quota = _QUOTAS.get((accelerator, capacity != "standard"))
    if quota is None or not can_be_asked():
        return
    project, region = deployment.project_id, deployment.region
    try:
        value = read_quota(project, region, _SERVICE, quota)
    except (OperatorError, GoogleAuthError) as error:
        report_event(f"the quota {quota} was not read: {error}")
        return
    if value is None or value == -1 or value >= at_once:
        return
    ask = request_line(project, _SERVICE, quota, at_once, region)
    fewer = f"--parallel {value}, or ask for more: " if value else "ask for it: "
    raise OperatorError(
        f"{at_once} shards at once need {at_once} of {quota} in {region}; the project has {value}",
        hint=f"{fewer}{ask}",
    )
