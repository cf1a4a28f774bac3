"""What still bills in a project after its platform is destroyed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from scripts.cloud.google_errors import explain_google_error
from scripts.cloud.vertex_sdk import connect, patiently
from serving.sam.plain_text import count

# What Vertex AI is asked for. Tuning, monitoring and training pipelines bill too; nothing of this
# project makes one.
ASKED = ("deployed models", "pipelines", "custom jobs", "batch predictions")
ENDED = {  # aiplatform_v1, types/pipeline_state.py and types/job_state.py
    "PIPELINE_STATE": ("SUCCEEDED", "FAILED", "CANCELLED"),
    "JOB_STATE": ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """What a destroy leaves by design; empty where there is none.

    Attributes:
        soft_delete_days: how long deleted objects can be restored, and bill; 0: not at all.
        state_bucket: the operator's bucket with Terraform's state.
        log_bucket: the operator's bucket with access logs.
        kms_key: the key that encrypted everything.
        request_log: BigQuery table with logged requests.
    """

    soft_delete_days: int = 0
    state_bucket: str = ""
    log_bucket: str = ""
    kms_key: str = ""
    request_log: str = ""

    def lines(self) -> Iterator[str]:
        """A line for each thing that stays."""
        if self.soft_delete_days:
            yield (
                f"deleted objects, for {self.soft_delete_days} more days "
                "(soft delete; their storage is billed until then)"
            )
        if self.kms_key:
            yield f"versions of the key {self.kms_key}, until Cloud KMS has destroyed them"
        if self.state_bucket:
            yield f"gs://{self.state_bucket} with Terraform's state, which is yours"
        if self.log_bucket:
            yield f"gs://{self.log_bucket} with access logs, which is yours"
        if self.request_log:
            yield f"the table {self.request_log} with logged requests"


def running_work(project_id: str, region: str) -> Iterator[str]:
    """A line for each of :data:`ASKED` that has not ended, whoever made it.

    Raises:
        Exception: Vertex AI cannot be asked.
    """
    sdk = connect(project_id, region)
    for endpoint in patiently(sdk.Endpoint.list):
        deployed = len(patiently(endpoint.list_models))
        if deployed:
            models = count(deployed, "deployed model")
            yield f"endpoint {endpoint.name}: {models}; gcloud ai endpoints undeploy-model"
    for job in _not_ended(sdk.PipelineJob, "PIPELINE_STATE"):
        yield f"pipeline {job.name}: sam-vertex pipeline cancel {job.name}"
    for job in _not_ended(sdk.CustomJob, "JOB_STATE"):
        yield f"custom job {job.name}: gcloud ai custom-jobs cancel {job.name} --region={region}"
    for job in _not_ended(sdk.BatchPredictionJob, "JOB_STATE"):
        yield f"batch prediction {job.name}: it ends by itself, or cancel it in the console"


def _not_ended(kind: Any, prefix: str) -> list[Any]:
    """The jobs of a kind in any state but the last ones: a queued or paused one may bill as well.

    All three lists filter by ``state`` with ``!=`` (aiplatform_v1, types/job_service.py and
    types/pipeline_service.py, ``filter``).
    """
    conditions = " AND ".join(f'state!="{prefix}_{state}"' for state in ENDED[prefix])
    jobs: list[Any] = patiently(lambda: kind.list(filter=conditions))
    return jobs


def what_is_left(project_id: str, region: str, leftovers: Leftovers) -> list[str]:
    """Everything that still bills; one of the lines says so where Vertex AI cannot be asked."""
    lines = list(leftovers.lines())
    try:
        lines += running_work(project_id, region)
    except Exception as error:
        known = explain_google_error(error) or error
        lines.append(f"unknown: Vertex AI cannot be asked what runs in {region} ({known})")
    return lines
