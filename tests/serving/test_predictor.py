"""The predictor keeps the contract of the SDK."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from serving.contract import Instance
from serving.predictor import SegmentationPredictor
from serving.sam.engine import Engine
from serving.settings import ServingSettings
from serving.work import Prepared, Prompted
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


def test_a_request_decodes_a_share_ahead_and_the_rest_one_at_a_time(engine: Engine) -> None:
    """However many images it has, no more than the share and one image are in memory."""
    predictor = SegmentationPredictor(ServingSettings(max_pixels=64 * 48 * 3))
    predictor._engine = engine
    images = [base64_png(64, 48 - number) for number in range(6)]
    content = {"instances": [{"image": image, "input_point": [20, 20]} for image in images]}
    work = predictor.preprocess(content)
    kinds = [type(item) for item in work.prepared]
    assert kinds == [Prepared, Prepared, Instance, Instance, Instance, Instance]
    work = predictor.predict(work)
    assert all(isinstance(outcome, Prompted) for outcome in work.outcomes)
    assert all(isinstance(item, Prepared) and item.image is None for item in work.prepared)
    heights = [outcome.masks[0][0]["size"][0] for outcome in work.outcomes
               if isinstance(outcome, Prompted)]  # fmt: skip
    assert heights == [48, 47, 46, 45, 44, 43]


def test_images_beyond_the_budget_are_refused_and_the_others_answered(engine: Engine) -> None:
    limits = ServingSettings(max_request_pixels=64 * 48 * 2 + 1, max_pixels=64 * 48)
    predictor = SegmentationPredictor(limits)
    predictor._engine = engine
    images = [base64_png(64, 48 - number) for number in range(3)]
    content = {"instances": [{"image": image, "input_point": [20, 20]} for image in images]}
    reply = predictor.postprocess(predictor.predict(predictor.preprocess(content)))
    first, second, third = reply["predictions"]
    assert first["masks"] and second["masks"]
    assert third["error"]["code"] == 413
    assert "instances[2].image" in third["error"]["message"]
