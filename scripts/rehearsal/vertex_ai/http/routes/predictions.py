"""Predictions of an endpoint: the only calls that its dedicated name answers."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from scripts.rehearsal.vertex_ai.http.dependencies import Body, EndpointName, ServiceOf, needs
from scripts.rehearsal.vertex_ai.http.routes.endpoints import ENDPOINT
from scripts.rehearsal.vertex_ai.state import Json

router = APIRouter(tags=["predictions"])


def _by_dedicated_name(request: Request) -> bool:
    return bool(request.app.state.dedicated)


ByDedicatedName = Annotated[bool, Depends(_by_dedicated_name)]


@router.post(f"{ENDPOINT}:predict", dependencies=[needs("aiplatform.endpoints.predict")])
def predict(
    service: ServiceOf, name: EndpointName, body: Body, by_dedicated_name: ByDedicatedName
) -> Response:
    """The container's reply, and which deployed model gave it."""
    content, model = service.predictions.predict(name, body, by_dedicated_name=by_dedicated_name)
    # The bytes of the reply stay as they are, however many; what Vertex adds goes before them.
    added = {
        "deployedModelId": model["id"],
        "model": model["model"],
        "modelDisplayName": model["displayName"],
        "modelVersionId": model["modelVersionId"],
    }
    text = json.dumps(added)[:-1].encode() + b", " + content.lstrip()[1:]
    return Response(text, headers=_headers(model), media_type="application/json")


@router.post(f"{ENDPOINT}:rawPredict", dependencies=[needs("aiplatform.endpoints.predict")])
def raw_predict(
    service: ServiceOf, name: EndpointName, body: Body, by_dedicated_name: ByDedicatedName
) -> Response:
    """The container's reply as it is."""
    content, model = service.predictions.predict(
        name, body, by_dedicated_name=by_dedicated_name, raw=True
    )
    return Response(content, headers=_headers(model), media_type="application/json")


def _headers(model: Json) -> dict[str, str]:
    return {
        "x-vertex-ai-deployed-model-id": model["id"],
        "x-vertex-ai-model": model["model"],
        "x-vertex-ai-model-version-id": model["modelVersionId"],
    }
