"""The predictor keeps the contract of the SDK."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.serving.conftest import base64_png

POINT = {"file_path": "a.png", "image": base64_png(), "input_point": [80, 95], "input_label": [1]}


def test_the_sdks_own_handler_works_with_our_predictor() -> None:
    """The four methods keep the SDK's contract, also where its own handler calls them."""
    from fastapi import HTTPException, Request
    from google.cloud.aiplatform.prediction.handler import PredictionHandler

    from serving.predictor import SegmentationPredictor
    from serving.sam.known_checkpoints import CHECKPOINTS

    handler = PredictionHandler(
        str(CHECKPOINTS["vit_tiny"].embedded_path), predictor=SegmentationPredictor
    )

    def ask(content: Any) -> Any:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(content).encode()}

        headers = [(b"content-type", b"application/json")]
        request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
        return asyncio.run(handler.handle(request))

    reply = ask({"instances": [POINT]})
    assert json.loads(reply.body)["predictions"][0]["masks"]
    with pytest.raises(HTTPException) as refused:
        ask({"instances": []})
    assert refused.value.status_code == 400
