"""The routes: one table of method and path, errors as JSON, faults on request."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response

from scripts.rehearsal.vertex_ai.artifacts import Artifacts
from scripts.rehearsal.vertex_ai.endpoints import Endpoints
from scripts.rehearsal.vertex_ai.errors import ApiError
from scripts.rehearsal.vertex_ai.jobs.batch_predictions import BatchJobs
from scripts.rehearsal.vertex_ai.jobs.pipelines import PipelineJobs
from scripts.rehearsal.vertex_ai.models import Models
from scripts.rehearsal.vertex_ai.operations import EMPTY_RESPONSE, Operations
from scripts.rehearsal.vertex_ai.predictions import Predictions
from scripts.rehearsal.vertex_ai.state import Json, State

PARENT = r"projects/[^/]+/locations/[^/]+"
MODEL = rf"{PARENT}/models/[^/:]+"
ENDPOINT = rf"{PARENT}/endpoints/[^/:]+"
JOB = rf"{PARENT}/batchPredictionJobs/[^/:]+"
PIPELINE = rf"{PARENT}/pipelineJobs/[^/:]+"
log = logging.getLogger("vertex")
MAX_BODY = 64 << 20
FAULTS = ("429", "503", "slow", "drop", "operation")
Action = Callable[[str, Json, Json], Json]


class Service:
    """Everything behind the routes."""

    def __init__(self, state: State, client: Any, home: Path) -> None:
        self.state = state
        self.operations = Operations(state)
        self.models = Models(state, self.operations, Artifacts(state, client))
        self.endpoints = Endpoints(state, self.operations, home / "logs")
        self.predictions = Predictions(state, self.endpoints.running)
        self.jobs = BatchJobs(state, client, home / "logs")
        self.pipelines = PipelineJobs(state, client, home)
        models, endpoints, jobs = self.models, self.endpoints, self.jobs
        pipelines = self.pipelines
        self.routes: list[tuple[str, re.Pattern[str], Action]] = [
            (method, re.compile(pattern), action)
            for method, pattern, action in (
                ("POST", rf"({PARENT})/models:upload", lambda n, q, b: models.upload(n, b)),
                ("GET", rf"({PARENT})/models", lambda n, q, b: models.list_models(n, q)),
                ("GET", rf"({MODEL}):listVersions", lambda n, q, b: models.versions(n)),
                (
                    "POST",
                    rf"({MODEL}):mergeVersionAliases",
                    lambda n, q, b: models.merge_aliases(n, b),
                ),
                ("DELETE", rf"({MODEL}):deleteVersion", lambda n, q, b: models.delete_version(n)),
                ("GET", rf"({MODEL})", lambda n, q, b: models.get(n)),
                ("DELETE", rf"({MODEL})", lambda n, q, b: models.delete(n)),
                ("POST", rf"({PARENT})/endpoints", lambda n, q, b: endpoints.create(n, q, b)),
                ("GET", rf"({PARENT})/endpoints", lambda n, q, b: endpoints.list_endpoints(n, q)),
                ("POST", rf"({ENDPOINT}):deployModel", lambda n, q, b: endpoints.deploy(n, b)),
                ("POST", rf"({ENDPOINT}):undeployModel", lambda n, q, b: endpoints.undeploy(n, b)),
                (
                    "POST",
                    rf"({ENDPOINT}):mutateDeployedModel",
                    lambda n, q, b: endpoints.mutate(n, b),
                ),
                ("GET", rf"({ENDPOINT})", lambda n, q, b: endpoints.get(n)),
                ("PATCH", rf"({ENDPOINT})", lambda n, q, b: endpoints.update(n, b)),
                ("DELETE", rf"({ENDPOINT})", lambda n, q, b: endpoints.delete(n)),
                ("POST", rf"({PARENT})/batchPredictionJobs", lambda n, q, b: jobs.create(n, b)),
                ("GET", rf"({PARENT})/batchPredictionJobs", lambda n, q, b: jobs.list_jobs(n)),
                ("GET", rf"({JOB})", lambda n, q, b: jobs.get(n)),
                ("POST", rf"({JOB}):cancel", lambda n, q, b: jobs.cancel(n)),
                ("DELETE", rf"({JOB})", self._delete_job),
                ("POST", rf"({PARENT})/pipelineJobs", pipelines.create),
                ("GET", rf"({PARENT})/pipelineJobs", lambda n, q, b: pipelines.list_jobs(n, q)),
                ("GET", rf"({PIPELINE})", lambda n, q, b: pipelines.get(n)),
                ("POST", rf"({PIPELINE}):cancel", lambda n, q, b: pipelines.cancel(n)),
                ("DELETE", rf"({PIPELINE})", self._delete_pipeline),
                (
                    "GET",
                    rf"({PARENT}/.*operations/\d+)",
                    lambda n, q, b: self.operations.get(n),
                ),
            )
        ]
        self.operations.fail_interrupted()
        self.jobs.fail_interrupted()
        self.pipelines.fail_interrupted()
        self.endpoints.restart()

    def _delete_job(self, name: str, _query: Json, _body: Json) -> Json:
        def work() -> Json:
            self.jobs.delete(name)
            return EMPTY_RESPONSE

        self.jobs.get(name)
        return self.operations.start(name, "DeleteOperationMetadata", work)

    def _delete_pipeline(self, name: str, _query: Json, _body: Json) -> Json:
        def work() -> Json:
            self.pipelines.delete(name)
            return EMPTY_RESPONSE

        self.pipelines.get(name)
        return self.operations.start(name, "DeleteOperationMetadata", work)

    def answer(self, method: str, path: str, query: Json, body: Json) -> Json:
        """Find the route and take its action; ApiError where there is none."""
        for wanted, pattern, action in self.routes:
            found = pattern.fullmatch(path)
            if wanted == method and found:
                return action(found[1], query, body)
        raise ApiError(404, f"The stand-in has no {method} {path}.")

    def fault(self, method: str, *, drop: bool = False) -> Json | None:
        """The fault that was injected for a method, if one is left: drops, or all others."""
        if not self.state.read()["vertex"]["faults"]:
            return None
        with self.state.open() as world:
            for fault in world["vertex"]["faults"]:
                same = fault["method"].lower() in method.lower()
                wanted = (fault["kind"] == "drop") is drop and fault["kind"] != "operation"
                if same and wanted and fault["times"] > 0:
                    fault["times"] -= 1
                    return dict(fault)
        return None

    def inject(self, fault: Json) -> None:
        """Take a fault: ``{"method": "deployModel", "kind": "503", "times": 2, "seconds": 1}``."""
        if fault.get("kind") not in FAULTS or not isinstance(fault.get("method"), str):
            raise ApiError(400, f"kind must be one of {', '.join(FAULTS)}, method a string.")
        with self.state.open() as world:
            world["vertex"]["faults"].append({"times": 1, "seconds": 1, **fault})


class Dropping:
    """Closes connections without an answer, where that fault was injected.

    Frameworks answer every exception, so this is below them: uvicorn's ``send`` belongs to the
    request's cycle, which has the connection.
    """

    def __init__(self, app: FastAPI, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """An ASGI application."""
        if scope["type"] == "http":
            call = f"{scope['method']} {scope['path']}"
            if self._service.fault(call, drop=True) is not None:
                send.__self__.transport.abort()
                return
        await self._app(scope, receive, send)


def make_app(service: Service, *, dedicated: bool) -> Dropping:
    """The HTTP side.

    Args:
        service: what answers.
        dedicated: whether this is the name of dedicated endpoints, which only predict.
    """
    app = FastAPI(openapi_url=None)

    @app.get("/rehearsal/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/rehearsal/faults")
    async def faults(request: Request) -> Response:
        try:
            service.inject(json.loads(await request.body()))
        except ApiError as error:
            return _json(error.body(), error.code)
        return _json({}, 200)

    @app.api_route(
        "/{version}/{path:path}", methods=["GET", "POST", "PATCH", "DELETE"], response_model=None
    )
    async def any_call(request: Request, version: str, path: str) -> Response:
        try:
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise ApiError(413, "Request payload size exceeds the limit.")
            query = dict(request.query_params)
            return await asyncio.to_thread(_call, request.method, version, path, query, bytes(body))
        except ApiError as error:
            return _json(error.body(), error.code)
        except Exception as error:
            log.exception("%s %s", request.method, path)
            return _json(ApiError(500, f"{type(error).__name__}: {error}").body(), 500)

    def _call(method: str, version: str, path: str, query: Json, body: bytes) -> Response:
        if version not in ("v1", "ui"):
            raise ApiError(404, f"No such version {version}.")
        fault = service.fault(f"{method} {path}")
        if fault is not None:
            if fault["kind"] == "slow":
                time.sleep(float(fault["seconds"]))
            else:
                raise ApiError(int(fault["kind"]), "Injected.")
        predicted = re.fullmatch(rf"({ENDPOINT}):(predict|rawPredict)", path)
        if predicted and method == "POST":
            return _predict(predicted[1], predicted[2], body)
        if dedicated:
            raise ApiError(404, "This name only predicts.")
        try:
            content = json.loads(body) if body else {}
        except ValueError as error:
            raise ApiError(400, f"Invalid JSON payload received: {error}") from error
        return _json(service.answer(method, path, query, content), 200)

    def _predict(name: str, method: str, body: bytes) -> Response:
        content, shown = service.predictions.predict(name, body, by_dedicated_name=dedicated)
        headers = {
            "x-vertex-ai-deployed-model-id": shown["id"],
            "x-vertex-ai-model": shown["model"],
            "x-vertex-ai-model-version-id": shown["modelVersionId"],
        }
        if method == "rawPredict":
            return Response(content, 200, headers, media_type="application/json")
        # The container's reply is kept as it is; what Vertex adds goes in front.
        added = {
            "deployedModelId": shown["id"],
            "model": shown["model"],
            "modelDisplayName": shown["displayName"],
            "modelVersionId": shown["modelVersionId"],
        }
        text = json.dumps(added)[:-1].encode() + b", " + content.lstrip()[1:]
        return Response(text, 200, headers, media_type="application/json")

    return Dropping(app, service)


def _json(content: Json, status: int) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")
