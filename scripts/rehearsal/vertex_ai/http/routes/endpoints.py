"""``projects.locations.endpoints``: the resources, and what is deployed to them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from scripts.rehearsal.vertex_ai.http.dependencies import (
    PARENT_PATH,
    EndpointName,
    JsonBody,
    Parent,
    ServiceOf,
)
from scripts.rehearsal.vertex_ai.state import Json

COLLECTION = f"{PARENT_PATH}/endpoints"
ENDPOINT = f"{COLLECTION}/{{endpoint:id}}"
router = APIRouter(tags=["endpoints"])


@router.post(COLLECTION)
def create(
    service: ServiceOf,
    parent: Parent,
    body: JsonBody,
    endpoint_id: Annotated[str, Query(alias="endpointId")] = "",
) -> Json:
    """Create an endpoint."""
    return service.endpoints.create(parent, endpoint_id, body)


@router.get(COLLECTION)
def list_endpoints(service: ServiceOf, parent: Parent, filter: str = "") -> Json:
    """All endpoints."""
    return service.endpoints.list_endpoints(parent, filter)


@router.post(f"{ENDPOINT}:deployModel")
def deploy_model(service: ServiceOf, name: EndpointName, body: JsonBody) -> Json:
    """Deploy a model."""
    return service.deployments.deploy(name, body)


@router.post(f"{ENDPOINT}:undeployModel")
def undeploy_model(service: ServiceOf, name: EndpointName, body: JsonBody) -> Json:
    """Undeploy a model."""
    return service.deployments.undeploy(name, body)


@router.post(f"{ENDPOINT}:mutateDeployedModel")
def mutate_deployed_model(service: ServiceOf, name: EndpointName, body: JsonBody) -> Json:
    """Change how a deployed model is scaled."""
    return service.deployments.mutate(name, body)


@router.get(ENDPOINT)
def get(service: ServiceOf, name: EndpointName) -> Json:
    """One endpoint."""
    return service.endpoints.get(name)


@router.patch(ENDPOINT)
def update(service: ServiceOf, name: EndpointName, body: JsonBody) -> Json:
    """Change an endpoint."""
    return service.endpoints.update(name, body)


@router.delete(ENDPOINT)
def delete(service: ServiceOf, name: EndpointName) -> Json:
    """Delete an endpoint."""
    return service.endpoints.delete(name)
