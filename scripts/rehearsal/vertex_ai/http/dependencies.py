"""What routes have in common: names of resources in a path, bodies, and the service."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.convertors import StringConvertor, register_url_convertor

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.iam.callers import UnknownCallerError, caller_of
from scripts.rehearsal.vertex_ai.service import Service
from scripts.rehearsal.vertex_ai.state import Json

MAX_BODY = 64 << 20  # bytes
PARENT_PATH = "/projects/{project}/locations/{location}"


class _IdConvertor(StringConvertor):
    """The id of a resource: a colon begins a custom method (https://google.aip.dev/136)."""

    regex = "[^/:]+"


register_url_convertor("id", _IdConvertor())


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


def _parent(project: str, location: str) -> str:
    return f"projects/{project}/locations/{location}"


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise ApiError(413, "Request payload size exceeds the limit.")
    return bytes(body)


ServiceOf = Annotated[Service, Depends(_service)]
Parent = Annotated[str, Depends(_parent)]
Body = Annotated[bytes, Depends(_body)]


def _caller(request: Request) -> str:
    try:
        return caller_of(request.headers.get("Authorization", ""))
    except UnknownCallerError as error:
        raise ApiError(
            401,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
            "cookie or other valid authentication credential.",
        ) from error


Caller = Annotated[str, Depends(_caller)]


def needs(permission: str) -> Any:
    """The dependency of a route that refuses callers without a permission on the project."""

    def check(request: Request, service: ServiceOf, caller: Caller, project: str) -> None:
        name = request.url.path[request.url.path.index("projects/") :]
        service.permissions.require(caller, permission, project, name)

    return Depends(check)


def _json_body(body: Body) -> Json:
    try:
        content = json.loads(body) if body else {}
    except ValueError as error:
        raise ApiError(400, f"Invalid JSON payload received: {error}") from error
    if not isinstance(content, dict):
        raise ApiError(400, "Invalid JSON payload received: expected an object.")
    return content


def _model(parent: Parent, model: str) -> str:
    return f"{parent}/models/{model}"


def _endpoint(parent: Parent, endpoint: str) -> str:
    return f"{parent}/endpoints/{endpoint}"


def _batch_job(parent: Parent, job: str) -> str:
    return f"{parent}/batchPredictionJobs/{job}"


def _pipeline_job(parent: Parent, job: str) -> str:
    return f"{parent}/pipelineJobs/{job}"


JsonBody = Annotated[Json, Depends(_json_body)]
ModelName = Annotated[str, Depends(_model)]
EndpointName = Annotated[str, Depends(_endpoint)]
BatchJobName = Annotated[str, Depends(_batch_job)]
PipelineJobName = Annotated[str, Depends(_pipeline_job)]
