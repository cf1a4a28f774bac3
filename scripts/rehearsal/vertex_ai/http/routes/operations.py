"""Long-running operations, each below the resource that it belongs to."""

from __future__ import annotations

from fastapi import APIRouter

from scripts.rehearsal.vertex_ai.http.dependencies import PARENT_PATH, Parent, ServiceOf, needs
from scripts.rehearsal.vertex_ai.state import Json

router = APIRouter(tags=["operations"])


# Which permission a poll needs is UNVERIFIED: the IAM reference has none but this one.
@router.get(
    f"{PARENT_PATH}/{{owner:path}}operations/{{operation:int}}",
    dependencies=[needs("aiplatform.operations.list")],
)
def get(service: ServiceOf, parent: Parent, owner: str, operation: int) -> Json:
    """An operation as it is now.

    Args:
        service: everything that the stand-in knows.
        parent: project and region.
        owner: the resource with a slash behind it, such as ``models/sam/``; may be empty.
        operation: the operation's number.
    """
    return service.operations.get(f"{parent}/{owner}operations/{operation}")


@router.get(
    f"{PARENT_PATH}/{{owner:path}}/operations", dependencies=[needs("aiplatform.operations.list")]
)
def list_operations(service: ServiceOf, parent: Parent, owner: str) -> Json:
    """All operations of a resource."""
    return service.operations.list_of(f"{parent}/{owner}")


@router.post(
    f"{PARENT_PATH}/{{owner:path}}operations/{{operation:int}}:cancel",
    dependencies=[needs("aiplatform.operations.list")],
)
def cancel(service: ServiceOf, parent: Parent, owner: str, operation: int) -> Json:
    """Ask an operation to end; the arguments are those of :func:`get`."""
    return service.operations.cancel(f"{parent}/{owner}operations/{operation}")
