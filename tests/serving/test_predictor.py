"""The predictor keeps the contract of the SDK."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from serving.contract import Instance
from serving.errors import RequestError
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


def test_requests_decode_ahead_as_far_as_there_is_room_and_the_rest_one_at_a_time(
    engine: Engine,
) -> None:
    """However many images and requests there are, the decoded ones take no more memory."""
    predictor = SegmentationPredictor(ServingSettings(max_pixels=64 * 48 * 3))
    predictor._engine = engine
    images = [base64_png(64, 48 - number) for number in range(6)]
    content = {"instances": [{"image": image, "input_point": [20, 20]} for image in images]}
    work = predictor.preprocess(content)
    kinds = [type(item) for item in work.prepared]
    assert kinds == [Prepared, Prepared, Prepared, Instance, Instance, Instance]
    assert predictor.room.taken == 64 * (48 + 47 + 46)
    other = predictor.preprocess(content)
    assert {type(item) for item in other.prepared} == {Instance}
    for each in (work, other):
        done = predictor.predict(each)
        assert all(isinstance(outcome, Prompted) for outcome in done.outcomes)
        assert all(isinstance(item, Prepared) and item.image is None for item in done.prepared)
        heights = [outcome.masks[0][0]["size"][0] for outcome in done.outcomes
                   if isinstance(outcome, Prompted)]  # fmt: skip
        assert heights == [48, 47, 46, 45, 44, 43]
    assert predictor.room.taken == 0


def test_what_fails_gives_back_its_room(engine: Engine) -> None:
    predictor = SegmentationPredictor(ServingSettings(max_pixels=320 * 240 * 3))
    predictor._engine = engine
    outside = {"image": base64_png(64, 48), "input_point": [99, 20]}
    for content in (
        {"instances": [outside]},
        {"instances": [POINT, outside], "parameters": {"on_error": "fail"}},
    ):
        with pytest.raises(RequestError):
            predictor.preprocess(content)
        assert predictor.room.taken == 0
    work = predictor.preprocess({"instances": [POINT]})
    work.deadline = 0.0  # long ago
    with pytest.raises(RequestError, match="not ready within the 60 s"):
        predictor.predict(work)
    assert predictor.room.taken == 0


def test_work_ends_where_it_cannot_be_ready_and_what_is_ready_is_answered(engine: Engine) -> None:
    predictor = SegmentationPredictor()
    predictor._engine = engine
    automatic = {"image": POINT["image"]}
    work = predictor.preprocess(
        {"instances": [POINT, automatic], "parameters": {"points_per_side": 256}}
    )
    work.deadline = time.monotonic() + 3
    reply = predictor.postprocess(predictor.predict(work))
    first, second = reply["predictions"]
    assert first["masks"]
    assert second["error"]["code"] == 422 and "points_per_side" in second["error"]["message"]
    assert time.monotonic() < work.deadline + 30  # 65,536 points take minutes


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


def test_an_instance_that_fails_unexpectedly_does_not_lose_the_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    predictor = SegmentationPredictor()
    predictor._engine = engine

    def broken(*_: Any, **__: Any) -> Any:
        raise ValueError("password at /etc/secret")

    monkeypatch.setattr(engine, "generate", broken)
    content = {"instances": [{"image": POINT["image"]}, POINT]}
    reply = predictor.postprocess(predictor.predict(predictor.preprocess(content)))
    failed, good = reply["predictions"]
    assert good["masks"] and failed["error"]["code"] == 500
    incident = failed["error"]["message"].rpartition("=")[2]
    assert "secret" not in failed["error"]["message"]
    assert incident in caplog.text and "password at /etc/secret" in caplog.text
