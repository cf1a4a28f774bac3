"""Whatever a client sends, the handler answers masks or a 4xx, in memory that does not grow."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from serving.handler import SegmentationHandler
from serving.sam.known_checkpoints import CHECKPOINTS
from tests.hostile import files
from tests.serving.conftest import Server, base64_png

IMAGE = base64_png(64, 48)
_PACKED = io.BytesIO()
Image.new("RGB", (64, 48), "red").save(_PACKED, "JPEG")
JPEG = base64.b64encode(_PACKED.getvalue()).decode()
KNOWN = hashlib.sha256(base64.b64decode(IMAGE)).hexdigest()
LOGITS = {
    "dtype": "float16", "shape": [1, 128, 128],
    "data": base64.b64encode(bytes(2 * 128 * 128)).decode(),
}  # fmt: skip
# Beyond what the first thousand requests have left behind: an embedding of 64 x 48 pixels is
# 2 MB, and the cache of 512 MB holds three of them here.
MEMORY_BOUND_MB = 50

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-100, 10**12) | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
COORDINATE = st.integers(-5, 80) | st.floats(0, 60)
POINT = st.lists(COORDINATE, min_size=2, max_size=2)
BOX = st.lists(COORDINATE, min_size=4, max_size=4)
INSTANCE = st.fixed_dictionaries(
    {},
    optional={
        "file_path": st.sampled_from(["a.png", "b/c.jpg", "../x"]) | ANYTHING,
        "image": st.sampled_from([IMAGE, IMAGE, IMAGE, JPEG]) | ANYTHING,
        "image_id": st.sampled_from(["0" * 64, KNOWN]) | ANYTHING,
        "image_uri": st.just("gs://b/c") | ANYTHING,
        "input_point": POINT | st.lists(POINT, max_size=3)
        | st.lists(st.lists(POINT, max_size=2), max_size=2) | ANYTHING,
        "input_label": st.lists(st.integers(0, 1), max_size=3) | ANYTHING,
        "input_box": BOX | st.lists(BOX, max_size=3) | ANYTHING,
        "multimask_output": st.booleans() | ANYTHING,
        "mask_input": st.just(LOGITS) | ANYTHING,
    },
)  # fmt: skip
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "mask_format": st.sampled_from(["rle", "polygon", "png", "array"]) | ANYTHING,
        "points_per_side": st.integers(1, 6) | ANYTHING,
        "max_masks": st.integers(1, 5) | ANYTHING,
        "on_error": st.sampled_from(["report", "fail", "each"]) | ANYTHING,
        "pred_iou_thresh": st.floats(0, 1) | ANYTHING,
        "return_logits": st.booleans() | ANYTHING,
        "stability_score_thresh": st.floats(0, 1) | ANYTHING,
        "box_nms_thresh": st.floats(0, 1) | ANYTHING,
        "crop_n_layers": st.integers(0, 1) | ANYTHING,
        "crop_n_points_downscale_factor": st.integers(1, 8) | ANYTHING,
        "min_mask_region_area": st.integers(0, 20) | ANYTHING,
        "point_grids": st.just([[[0.5, 0.5]], [[0.2, 0.2]]]) | ANYTHING,
        "output_uri": st.just("gs://b/c") | ANYTHING,
    },
)


BODY = st.fixed_dictionaries(
    {"instances": st.lists(INSTANCE | ANYTHING, max_size=3) | ANYTHING},
    optional={"parameters": PARAMETERS | ANYTHING},
)

Ask = Callable[[bytes], tuple[int, Any]]
Launch = Callable[..., contextlib.AbstractContextManager[Server]]
REQUESTS = int(os.environ.get("ANY_REQUESTS", "10000"))


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """Sends a body through the handler, without a network; returns status and reply."""
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        for name in ("AIP_ENDPOINT_ID", "SERVING_BATCH"):
            patch.delenv(name, raising=False)

        async def started() -> SegmentationHandler:
            handler = SegmentationHandler(str(CHECKPOINTS["vit_tiny"].embedded_path))
            while not handler.ready:
                assert handler.failure is None, handler.failure
                await asyncio.sleep(0.05)
            return handler

        handler = runner.run(started())

        async def answer(body: bytes) -> tuple[int, Any]:
            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": body}

            headers = [(b"content-type", b"application/json")]
            scope = {"type": "http", "method": "POST", "headers": headers}
            reply = await handler.handle(Request(scope, receive))
            return reply.status_code, json.loads(bytes(reply.body))

        yield lambda body: runner.run(answer(body))


def check(ask: Ask, content: Any) -> None:
    status, reply = ask(json.dumps(content).encode())
    if status == 200:
        assert len(reply["predictions"]) == len(content["instances"])
        for prediction in reply["predictions"]:
            assert ("masks" in prediction) != ("error" in prediction)
            assert prediction.get("error", {}).get("code", 400) in range(400, 500)
    else:
        assert 400 <= status < 500, reply
        assert reply["error"]["message"]


RELAXED = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]


@settings(max_examples=200, deadline=None, suppress_health_check=RELAXED)
@given(content=BODY)
def test_any_request_is_answered(ask: Ask, content: dict[str, Any]) -> None:
    check(ask, content)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_requests_are_answered_in_bounded_memory(launch: Launch) -> None:
    """By a server that is a process of its own: Hypothesis remembers all that it has tried."""
    count, marks = 0, {}
    with launch() as server:

        def resident_mb() -> float:
            pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
            return pages * 4096 / 1e6

        def post(body: bytes) -> tuple[int, Any]:
            reply = server.post(data=body, headers={"Content-Type": "application/json"})
            return reply.status_code, reply.json()

        @settings(
            max_examples=REQUESTS, deadline=None, suppress_health_check=RELAXED, database=None
        )
        @given(content=BODY)
        def send(content: dict[str, Any]) -> None:
            nonlocal count
            check(post, content)
            count += 1
            if count % (REQUESTS // 10) == 0:
                marks[count] = resident_mb()

        send()
        print("resident MB:", {number: round(value) for number, value in marks.items()})
        assert count >= REQUESTS
        assert max(marks.values()) - marks[REQUESTS // 10] < MEMORY_BOUND_MB


@pytest.mark.parametrize("path", files("requests"), ids=lambda path: path.name)
def test_a_hostile_body_is_a_4xx_or_has_its_masks(ask: Ask, path: Path) -> None:
    status, reply = ask(path.read_bytes().replace(b"IMAGE", IMAGE.encode()))
    assert status == 200 or 400 <= status < 500, reply
    assert "\x1b" not in json.dumps(reply, ensure_ascii=False)


# Not the one that takes seconds; tests/serving/sam/test_hostile_files.py decodes it.
SMALL = [path for path in files("images") if path.name != "flat-88-megapixels.png"]


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.name)
def test_a_hostile_image_is_an_error_of_its_instance_or_has_masks(ask: Ask, path: Path) -> None:
    image = base64.b64encode(path.read_bytes()).decode()
    bodies = {"instances": [{"image": image, "input_point": [0, 0]}]}
    status, reply = ask(json.dumps(bodies).encode())
    assert status == 200 or 400 <= status < 500, reply
