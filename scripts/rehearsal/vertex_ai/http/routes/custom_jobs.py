"""``projects.locations.customJobs``: the list alone, of those that somebody put into the world."""

from __future__ import annotations

from fastapi import APIRouter

from scripts.rehearsal.vertex_ai.http.dependencies import PARENT_PATH, Parent, ServiceOf, needs
from scripts.rehearsal.vertex_ai.jobs.jobs import jobs_of
from scripts.rehearsal.vertex_ai.state import Json

router = APIRouter(tags=["customJobs"])


@router.get(f"{PARENT_PATH}/customJobs", dependencies=[needs("aiplatform.customJobs.list")])
def list_jobs(service: ServiceOf, parent: Parent, filter: str = "") -> Json:
    """The jobs that a filter lets through."""
    return {"customJobs": jobs_of(service.state, "custom_jobs", parent, filter)}
