"""Preparing an instance fetches, decodes and checks; a wrong instance becomes its error."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from serving.contract import Instance, parse_request
from serving.embedding_cache import EmbeddingCache
from serving.errors import RequestError
from serving.preparation import prepare_instance
from serving.request_budget import RequestBudget
from serving.sam.engine import Engine
from serving.settings import ServingSettings
from serving.work import Prepared
from tests.serving.conftest import base64_png

POINT = {"file_path": "a.png", "image": base64_png(64, 48), "input_point": [20, 20]}


def prepare(
    engine: Engine, cache: EmbeddingCache, instance: dict[str, Any], **limits: Any
) -> Prepared | Exception:
    settings = ServingSettings(**limits)
    content = {"instances": [instance], "parameters": {"mask_format": "array"}}
    request = parse_request(content, settings)
    (parsed,) = request.instances
    assert isinstance(parsed, Instance)
    prepared = prepare_instance(
        parsed,
        request.parameters,
        checkpoint=engine.checkpoint,
        cache=cache,
        limits=settings,
        budget=RequestBudget(settings, request.parameters),
    )
    assert not isinstance(prepared, Instance)  # it was its turn
    return prepared


def test_a_prompted_image_in_the_cache_is_not_decoded_again(engine: Engine) -> None:
    cache = EmbeddingCache(1 << 30)
    first = prepare(engine, cache, POINT)
    assert isinstance(first, Prepared)
    assert first.image is not None and first.embedding is None
    assert first.image.shape == (48, 64, 3)
    embedding = engine.embed(first.image)
    cache.put(first.digest, embedding)
    second = prepare(engine, cache, POINT)
    assert isinstance(second, Prepared)
    assert second.image is None and second.embedding is embedding
    automatic = {name: value for name, value in POINT.items() if name != "input_point"}
    third = prepare(engine, cache, automatic)
    assert isinstance(third, Prepared)
    assert third.image is not None and third.embedding is None
    assert third.settings == engine.checkpoint.automatic


@pytest.mark.parametrize(
    ("changes", "limits", "message"),
    [
        ({"input_point": [64, 10]}, {}, r"instances\[0\]: point \[64, 10\] lies outside"),
        ({"input_point": [[[1, 1]], [[1, 99]]]}, {}, r"instances\[0\]\.objects\[1\]: point"),
        ({"mask_input": [[0.0] * 16] * 16}, {}, r"mask_input: expected shape \(1, 128, 128\)"),
        ({}, {"max_pixels": 3071}, r"instances\[0\]\.image: 64 x 48 is 3072 pixels"),
        ({}, {"reply_limit_bytes": 16_000}, r"1 mask\(s\) of 3072 pixels as nested lists"),
        (
            {},
            {"max_request_pixels": 3000},
            r"instances\[0\]\.image: with this image of 3072 pixels",
        ),
        (
            {"image": base64.b64encode(b"text").decode()},
            {},
            r"\.image: .* not an image",
        ),
    ],
    ids=["outside", "second object", "mask input", "pixels", "reply", "budget", "no image"],
)
def test_a_wrong_instance_becomes_its_error(
    engine: Engine, changes: dict[str, Any], limits: dict[str, Any], message: str
) -> None:
    refusal = prepare(engine, EmbeddingCache(0), {**POINT, **changes}, **limits)
    assert isinstance(refusal, RequestError)
    assert re.search(message, refusal.message)


def test_prompts_on_a_cached_image_are_checked_against_its_size(engine: Engine) -> None:
    cache = EmbeddingCache(1 << 30)
    prepared = prepare(engine, cache, POINT)
    assert isinstance(prepared, Prepared) and prepared.image is not None
    cache.put(prepared.digest, engine.embed(prepared.image))
    refusal = prepare(engine, cache, {**POINT, "input_point": [64, 10]})
    assert isinstance(refusal, RequestError)
    assert "the image is 64 x 48 pixels" in refusal.message
    assert cache.hits == 1
