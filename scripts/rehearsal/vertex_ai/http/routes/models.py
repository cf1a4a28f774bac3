"""``projects.locations.models``: uploads, versions, aliases."""

from __future__ import annotations

from fastapi import APIRouter

from scripts.rehearsal.vertex_ai.http.dependencies import (
    PARENT_PATH,
    JsonBody,
    ModelName,
    Parent,
    ServiceOf,
    needs,
)
from scripts.rehearsal.vertex_ai.state import Json

COLLECTION = f"{PARENT_PATH}/models"
MODEL = f"{COLLECTION}/{{model:id}}"  # its id, and after an "@" a version or an alias
router = APIRouter(tags=["models"])


@router.post(f"{COLLECTION}:upload", dependencies=[needs("aiplatform.models.upload")])
def upload(service: ServiceOf, parent: Parent, body: JsonBody) -> Json:
    """Upload a model, or a version of one."""
    service.permissions.require_agent(parent.split("/")[1])
    return service.models.upload(parent, body)


@router.get(COLLECTION, dependencies=[needs("aiplatform.models.list")])
def list_models(service: ServiceOf, parent: Parent, filter: str = "") -> Json:
    """The default versions of all models."""
    return service.models.list_models(parent, filter)


@router.get(f"{MODEL}:listVersions", dependencies=[needs("aiplatform.models.list")])
def list_versions(service: ServiceOf, name: ModelName) -> Json:
    """All versions of a model."""
    return service.models.versions(name)


@router.post(f"{MODEL}:mergeVersionAliases", dependencies=[needs("aiplatform.models.update")])
def merge_version_aliases(service: ServiceOf, name: ModelName, body: JsonBody) -> Json:
    """Add aliases to a version, or take them away."""
    return service.models.merge_aliases(name, body)


@router.delete(f"{MODEL}:deleteVersion", dependencies=[needs("aiplatform.models.delete")])
def delete_version(service: ServiceOf, name: ModelName) -> Json:
    """Delete a version."""
    return service.models.delete_version(name)


@router.get(MODEL, dependencies=[needs("aiplatform.models.get")])
def get(service: ServiceOf, name: ModelName) -> Json:
    """One version of a model."""
    return service.models.get(name)


@router.delete(MODEL, dependencies=[needs("aiplatform.models.delete")])
def delete(service: ServiceOf, name: ModelName) -> Json:
    """Delete a model."""
    return service.models.delete(name)
