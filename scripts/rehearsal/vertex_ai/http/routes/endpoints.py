"""``projects.locations.endpoints``: the resources, and what is deployed to them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from scripts.rehearsal.vertex_ai.http.dependencies import (
    PARENT_PATH,
    Caller,
    EndpointName,
    JsonBody,
    Parent,
    ServiceOf,
    needs,
)
from scripts.rehearsal.vertex_ai.state import Json

COLLECTION = f"{PARENT_PATH}/endpoints"
ENDPOINT = f"{COLLECTION}/{{endpoint:id}}"
router = APIRouter(tags=["endpoints"])


@router.post(COLLECTION, dependencies=[needs("aiplatform.endpoints.create")])
def create(
    service: ServiceOf,
    parent: Parent,
    body: JsonBody,
    endpoint_id: Annotated[str, Query(alias="endpointId")] = "",
) -> Json:
    """Create an endpoint."""
    return service.endpoints.create(parent, endpoint_id, body)


@router.get(COLLECTION, dependencies=[needs("aiplatform.endpoints.list")])
def list_endpoints(service: ServiceOf, parent: Parent, filter: str = "") -> Json:
    """All endpoints."""
    return service.endpoints.list_endpoints(parent, filter)


@router.post(f"{ENDPOINT}:deployModel", dependencies=[needs("aiplatform.endpoints.deploy")])
def deploy_model(service: ServiceOf, name: EndpointName, body: JsonBody, caller: Caller) -> Json:
    """Deploy a model."""
    return service.deployments.deploy(name, body, caller)


@router.post(f"{ENDPOINT}:undeployModel", dependencies=[needs("aiplatform.endpoints.undeploy")])
def undeploy_model(service: ServiceOf, name: EndpointName, body: JsonBody) -> Json:
    """Undeploy a model."""
    return service.deployments.undeploy(name, body)


# Its permission is UNVERIFIED: the IAM reference names none for this method.
@router.post(f"{ENDPOINT}:mutateDeployedModel", dependencies=[needs("aiplatform.endpoints.update")])
def mutate_deployed_model(service: ServiceOf, name: EndpointName, body: JsonBody) -> Json:
    """Change how a deployed model is scaled."""
    return service.deployments.mutate(name, body)


@router.get(ENDPOINT, dependencies=[needs("aiplatform.endpoints.get")])
def get(service: ServiceOf, name: EndpointName) -> Json:
    """One endpoint."""
    return service.endpoints.get(name)


@router.patch(ENDPOINT, dependencies=[needs("aiplatform.endpoints.update")])
def update(service: ServiceOf, name: EndpointName, body: JsonBody) -> Json:
    """Change an endpoint."""
    return service.endpoints.update(name, body)


@router.delete(ENDPOINT, dependencies=[needs("aiplatform.endpoints.delete")])
def delete(service: ServiceOf, name: EndpointName) -> Json:
    """Delete an endpoint."""
    return service.endpoints.delete(name)
