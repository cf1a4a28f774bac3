"""``projects.locations.pipelineJobs``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from scripts.rehearsal.vertex_ai.http.dependencies import (
    PARENT_PATH,
    Caller,
    JsonBody,
    Parent,
    PipelineJobName,
    ServiceOf,
    needs,
)
from scripts.rehearsal.vertex_ai.state import Json

COLLECTION = f"{PARENT_PATH}/pipelineJobs"
JOB = f"{COLLECTION}/{{job:id}}"
router = APIRouter(tags=["pipelineJobs"])


@router.post(COLLECTION, dependencies=[needs("aiplatform.pipelineJobs.create")])
def create(
    service: ServiceOf,
    parent: Parent,
    body: JsonBody,
    caller: Caller,
    job_id: Annotated[str, Query(alias="pipelineJobId")] = "",
) -> Json:
    """Begin a job."""
    service.permissions.require_agent(parent.split("/")[1])
    return service.pipeline_jobs.create(parent, job_id, body, caller)


@router.get(COLLECTION, dependencies=[needs("aiplatform.pipelineJobs.list")])
def list_jobs(service: ServiceOf, parent: Parent, filter: str = "") -> Json:
    """The jobs that a filter leaves."""
    return service.pipeline_jobs.list_jobs(parent, filter)


@router.get(JOB, dependencies=[needs("aiplatform.pipelineJobs.get")])
def get(service: ServiceOf, name: PipelineJobName) -> Json:
    """One job."""
    return service.pipeline_jobs.get(name)


@router.post(f"{JOB}:cancel", dependencies=[needs("aiplatform.pipelineJobs.cancel")])
def cancel(service: ServiceOf, name: PipelineJobName) -> Json:
    """End a job."""
    return service.pipeline_jobs.cancel(name)


@router.delete(JOB, dependencies=[needs("aiplatform.pipelineJobs.delete")])
def delete(service: ServiceOf, name: PipelineJobName) -> Json:
    """Delete a job."""
    return service.pipeline_jobs.delete(name)
