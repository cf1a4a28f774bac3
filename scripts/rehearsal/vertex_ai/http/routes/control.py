"""Routes of the stand-in itself, which Google's service does not have."""

from __future__ import annotations

from fastapi import APIRouter

from scripts.rehearsal.vertex_ai.http.dependencies import JsonBody, ServiceOf
from scripts.rehearsal.vertex_ai.state import Json

PREFIX = "/rehearsal"
router = APIRouter(prefix=PREFIX, tags=["rehearsal"])


@router.get("/health")
def health() -> dict[str, str]:
    """The stand-in is up."""
    return {"status": "ok"}


@router.post("/faults")
def inject_fault(service: ServiceOf, body: JsonBody) -> Json:
    """Note a fault that later calls meet."""
    service.faults.inject(body)
    return {}
