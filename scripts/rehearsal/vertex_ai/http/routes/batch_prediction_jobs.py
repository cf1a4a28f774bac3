"""``projects.locations.batchPredictionJobs``."""

from __future__ import annotations

from fastapi import APIRouter

from scripts.rehearsal.vertex_ai.http.dependencies import (
    PARENT_PATH,
    BatchJobName,
    Caller,
    JsonBody,
    Parent,
    ServiceOf,
    needs,
)
from scripts.rehearsal.vertex_ai.state import Json

COLLECTION = f"{PARENT_PATH}/batchPredictionJobs"
JOB = f"{COLLECTION}/{{job:id}}"
router = APIRouter(tags=["batchPredictionJobs"])


@router.post(COLLECTION, dependencies=[needs("aiplatform.batchPredictionJobs.create")])
def create(service: ServiceOf, parent: Parent, body: JsonBody, caller: Caller) -> Json:
    """Begin a job."""
    service.permissions.require_agent(parent.split("/")[1])
    return service.batch_jobs.create(parent, body, caller)


@router.get(COLLECTION, dependencies=[needs("aiplatform.batchPredictionJobs.list")])
def list_jobs(service: ServiceOf, parent: Parent, filter: str = "") -> Json:
    """The jobs that a filter lets through."""
    return service.batch_jobs.list_jobs(parent, filter)


@router.get(JOB, dependencies=[needs("aiplatform.batchPredictionJobs.get")])
def get(service: ServiceOf, name: BatchJobName) -> Json:
    """One job."""
    return service.batch_jobs.get(name)


@router.post(f"{JOB}:cancel", dependencies=[needs("aiplatform.batchPredictionJobs.cancel")])
def cancel(service: ServiceOf, name: BatchJobName) -> Json:
    """Ask a job to end."""
    return service.batch_jobs.cancel(name)


@router.delete(JOB, dependencies=[needs("aiplatform.batchPredictionJobs.delete")])
def delete(service: ServiceOf, name: BatchJobName) -> Json:
    """Delete a job."""
    return service.batch_jobs.delete(name)
