"""What still bills in a project after its platform is destroyed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from scripts.cloud.google_errors import explain_google_error
from scripts.cloud.vertex_sdk import connect, patiently


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
    """A line for everything on Vertex AI in a region that runs and bills now, whoever made it.

    Raises:
        Exception: Vertex AI cannot be asked.
    """
    sdk = connect(project_id, region)
    for endpoint in patiently(sdk.Endpoint.list):
        count = len(patiently(endpoint.list_models))
        if count:
            yield f"endpoint {endpoint.name}: {count} deployed models; gcloud ai endpoints list"
    running = 'state="PIPELINE_STATE_RUNNING"'
    for job in _not_ended(patiently(lambda: sdk.PipelineJob.list(filter=running))):
        yield f"pipeline {job.name}: sam-vertex pipeline cancel {job.name}"
    running = 'state="JOB_STATE_RUNNING"'
    for job in _not_ended(patiently(lambda: sdk.BatchPredictionJob.list(filter=running))):
        yield f"batch prediction {job.name}: it ends by itself, or cancel it in the console"


def _not_ended(jobs: Any) -> Iterator[Any]:
    return (job for job in jobs if not getattr(job.gca_resource, "end_time", None))


def what_is_left(project_id: str, region: str, leftovers: Leftovers) -> list[str]:
    """Everything that still bills; one of the lines says so where Vertex AI cannot be asked."""
    lines = list(leftovers.lines())
    try:
        lines += running_work(project_id, region)
    except Exception as error:
        known = explain_google_error(error) or error
        lines.append(f"unknown: Vertex AI cannot be asked what runs in {region} ({known})")
    return lines
