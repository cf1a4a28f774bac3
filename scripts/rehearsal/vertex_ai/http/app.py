"""The application: the routes of every resource, errors in Google's form, faults on request."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.project_apis.agents import PREFIX
from scripts.rehearsal.project_apis.routes import make_router
from scripts.rehearsal.vertex_ai.http.fault_injection import FaultInjection
from scripts.rehearsal.vertex_ai.http.routes import (
    batch_prediction_jobs,
    control,
    custom_jobs,
    endpoints,
    models,
    operations,
    pipeline_jobs,
    predictions,
)
from scripts.rehearsal.vertex_ai.service import Service

VERSION, UI_VERSION = "v1", "ui"  # parts of the SDK ask for the second
BY_HOST = f"{PREFIX}/{{host}}-aiplatform.googleapis.com/{VERSION}"
METHODS = ("GET", "POST", "PATCH", "DELETE")


def make_app(service: Service, *, dedicated: bool) -> ASGIApp:
    """The HTTP side.

    ``/rehearsal/openapi.json`` lists the routes.

    Args:
        service: what answers.
        dedicated: whether this is the name of dedicated endpoints, which only predict.
    """
    app = FastAPI(
        title="Rehearsed Vertex AI",
        openapi_url=f"{control.PREFIX}/openapi.json",
        docs_url=None,  # these two pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service, app.state.dedicated = service, dedicated
    app.include_router(control.router)
    routers = [predictions.router]
    if not dedicated:
        jobs = (batch_prediction_jobs, pipeline_jobs, custom_jobs)
        modules = (models, endpoints, *jobs, operations)
        routers += [module.router for module in modules]
    for router in routers:
        app.include_router(router, prefix=f"/{VERSION}")
        app.include_router(router, prefix=f"/{UI_VERSION}", include_in_schema=False)
        if not dedicated:  # by the host's name, as the services of a project are asked
            app.include_router(router, prefix=BY_HOST, include_in_schema=False)
    if not dedicated:
        app.include_router(make_router(service.world))
    app.add_exception_handler(ApiError, answer_refusal)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(Exception, _failed)
    return FaultInjection(app, service.faults, exempt=f"{control.PREFIX}/")


def answer_refusal(_request: Request, error: Exception) -> JSONResponse:
    """Answer what the service refuses."""
    assert isinstance(error, ApiError)  # noqa: S101  (what this handler is registered for)
    return JSONResponse(error.body(), error.code)


def _failed(_request: Request, error: Exception) -> JSONResponse:
    return answer_refusal(_request, ApiError.internal(error))


def _unrouted(request: Request, _error: Exception) -> JSONResponse:
    """Answer a call that no route takes: 404 also where the path is known by another method."""
    method, path = request.method, request.url.path
    version, _, name = path.lstrip("/").partition("/")
    if method not in METHODS:
        error = ApiError(405, "Method Not Allowed")
    elif version not in (VERSION, UI_VERSION):
        error = ApiError(404, f"No such version {version}.")
    elif request.app.state.dedicated:
        error = ApiError(404, "This name only predicts.")
    else:
        error = ApiError(404, f"The stand-in has no {method} {name}.")
    return answer_refusal(request, error)
