"""Servers with variables of their own: start, limits, buckets, and when they are busy or fail."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests

from scripts.rehearsal.processes import free_port
from serving.handler import REPLY_SECONDS, SegmentationHandler
from serving.predictor import SegmentationPredictor
from serving.sam.images import RgbImage
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.server import DEFAULTS, main
from serving.settings import BATCH_SECONDS
from tests.serving.conftest import (
    START_SECONDS,
    Client,
    Server,
    base64_png,
    png,
    vertex_variables,
)

Launch = Callable[..., contextlib.AbstractContextManager[Server]]
ServeHere = Callable[..., contextlib.AbstractContextManager[Client]]
POINT = {"file_path": "a.png", "image": base64_png(), "input_point": [80, 95], "input_label": [1]}


def test_the_port_is_open_before_the_model_is_loaded(launch: Launch) -> None:
    with launch(wait=False) as starting:
        deadline = time.monotonic() + START_SECONDS
        status = 0
        while status == 0 and time.monotonic() < deadline:
            with contextlib.suppress(requests.ConnectionError):
                status = starting.health()
        assert status == 503
        reply = starting.post({"instances": [POINT]})
        assert reply.status_code == 503
        assert int(reply.headers["Retry-After"]) > 0
        while starting.health() != 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert starting.predict(POINT)


def test_a_server_without_usable_checkpoint_ends_and_says_why(
    launch: Launch, tmp_path: Path
) -> None:
    corrupt = tmp_path / "mine.pth"
    corrupt.write_bytes(b"not a checkpoint" * 100)
    with launch(wait=False, AIP_STORAGE_URI=str(corrupt)) as failing:
        assert failing.process.wait(60) == 1
        assert "mine.pth" in failing.log.read_text()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("AIP_STORAGE_URI", "/nowhere/at/all", "no such file"),
        ("SERVING_DEVICE", "tpu-v9", "tpu-v9"),
        ("SERVING_PRECISON", "fp32", "SERVING_PRECISON"),
        ("AIP_ACCELERATOR_TYPE", "NVIDIA_TESLA_T4", "has NVIDIA_TESLA_T4, but"),
        ("SERVING_ACCELERATOR", "NVIDIA_L4", "has NVIDIA_L4, but"),
    ],
)
def test_a_server_that_is_told_something_wrong_ends_and_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str], name: str, value: str, message: str,
) -> None:  # fmt: skip
    """The entry point itself, in this process."""
    for variable, content in {**DEFAULTS, **vertex_variables(free_port()), name: value}.items():
        monkeypatch.setenv(variable, content)
    monkeypatch.setattr("serving.server.keep_freed_memory", lambda: None)  # of the container's own
    assert main("127.0.0.1") == 1
    assert message in caplog.text + capsys.readouterr().err


def test_the_limits_of_a_shared_endpoint(serve_here: ServeHere) -> None:
    limits = {
        "SERVING_REPLY_LIMIT_BYTES": "200000",
        "SERVING_MAX_BODY_BYTES": "300000",
        "SERVING_TIMEOUT_SECONDS": "4",
        "SERVING_MAX_PIXELS": "100000",
        "SERVING_EMBEDDING_CACHE_BYTES": "0",
    }
    with serve_here(**limits) as shared:
        array = shared.post({"instances": [POINT], "parameters": {"mask_format": "array"}})
        assert array.status_code == 422
        assert '"mask_format": "rle"' in array.json()["error"]["message"]
        many = {**POINT, "input_box": [[10, 10, 90 + n, 90] for n in range(8)]}
        del many["input_point"], many["input_label"]
        large = shared.post({"instances": [many]})
        assert large.status_code == 422
        assert '"return_logits": false' in large.json()["error"]["message"]
        assert len(shared.predict(many, return_logits=False)[0]["masks"]) == 8
        slow = shared.post(
            {"instances": [{"image": POINT["image"]}] * 20, "parameters": {"points_per_side": 200}}
        )
        assert slow.status_code == 422
        assert "points_per_side" in slow.json()["error"]["message"]
        pixels = shared.post({"instances": [{"image": base64_png(400, 300)}]})
        assert pixels.status_code == 400
        assert "100000" in pixels.json()["error"]["message"]
        shared.predict(POINT)
        assert shared.metrics()["sam_embedding_cache_images"] == 0


def test_objects_of_a_bucket_are_read_and_written_where_it_is_allowed(
    serve_here: ServeHere, bucket: Callable[[str], str], storage_server: str, scene: RgbImage
) -> None:
    from serving.object_access import read_object, write_object

    write_object(bucket("images/a.png"), png(scene), "test")
    write_object(bucket("secret/a.png"), png(scene), "test")
    with serve_here(
        SERVING_READ_PREFIXES=bucket("images"),
        SERVING_WRITE_PREFIXES=bucket("out"),
        STORAGE_EMULATOR_HOST=storage_server,
        GOOGLE_CLOUD_PROJECT="rehearsal",
    ) as allowed:
        by_uri = {**POINT, "image_uri": bucket("images/a.png")}
        del by_uri["image"]
        assert allowed.predict(by_uri) == allowed.predict(POINT)
        for uri, message in (
            (bucket("secret/a.png"), "may only use"),
            (bucket("images/../secret/a.png"), "expected gs://"),
            (bucket("images/none.png"), "does not exist"),
        ):
            reply = allowed.post({"instances": [{**by_uri, "image_uri": uri}]})
            assert reply.status_code == 400
            assert message in reply.json()["error"]["message"]
        (written,) = allowed.predict(by_uri, output_uri=bucket("out/run-1"), mask_format="array")
        assert written["output_uri"].startswith(bucket("out/run-1/0000-a-"))
        content = json.loads(read_object(written["output_uri"], 10**7, "test"))
        assert content == allowed.predict(POINT, mask_format="array")[0]


def test_a_checkpoint_folder_in_a_bucket(
    serve_here: ServeHere, bucket: Callable[[str], str], storage_server: str
) -> None:
    from serving.object_access import write_object
    from serving.sam.known_checkpoints import CHECKPOINTS

    path = CHECKPOINTS["vit_tiny"].embedded_path
    assert path is not None
    write_object(bucket("sam-checkpoint/sam_vit_tiny.pth"), path.read_bytes(), "test")
    cloud = {
        "AIP_STORAGE_URI": bucket("sam-checkpoint"),
        "STORAGE_EMULATOR_HOST": storage_server,
        "GOOGLE_CLOUD_PROJECT": "rehearsal",
    }
    with serve_here(**cloud) as served:
        assert served.predict(POINT)
    write_object(bucket("sam-checkpoint/other.pth"), b"x", "test")
    with pytest.raises(AssertionError, match="SERVING_CHECKPOINT"), serve_here(**cloud):
        pass
    with serve_here(**cloud, SERVING_CHECKPOINT="sam_vit_tiny.pth") as served:
        assert served.predict(POINT)


def test_a_busy_server_says_when_to_come_back(serve_here: ServeHere) -> None:
    """What meets as much work as may be in hand is told so at once; later it is served."""
    long = {"instances": [{"image": base64_png(900, 700)}], "parameters": {"points_per_side": 24}}
    with serve_here(SERVING_MAX_WAITING="1") as server:
        client = threading.Thread(target=lambda: server.post(long))
        client.start()
        time.sleep(0.5)  # the long one first: it would be told to come back as well
        deadline = time.monotonic() + 20
        while (reply := server.post({"instances": [POINT]})).status_code == 200:
            assert time.monotonic() < deadline, "the long request never got in the way"
            time.sleep(0.01)
        assert reply.status_code == 429, reply.text
        assert int(reply.headers["Retry-After"]) >= 1
        assert reply.json()["error"]["status"] == "RESOURCE_EXHAUSTED"
        client.join()
        assert server.predict(POINT)


def test_a_batch_is_never_refused_as_a_whole(serve_here: ServeHere) -> None:
    """Whatever is wrong, each instance has its masks or its error, however many come at once."""
    bad = {"file_path": "bad.png", "image": "AAAA"}
    with serve_here(SERVING_BATCH="on", SERVING_MAX_WAITING="1") as server:
        with ThreadPoolExecutor(6) as pool:
            replies = list(pool.map(server.post, [{"instances": [bad, POINT]}] * 6))
        assert [reply.status_code for reply in replies] == [200] * 6
        for reply in replies:
            first, second = reply.json()["predictions"]
            assert first["error"]["code"] == 400 and second["masks"]
        (alone,) = server.predict(bad)
        assert (alone["file_path"], alone["error"]["status"]) == ("bad.png", "INVALID_ARGUMENT")
        wrong = server.predict(POINT, bad, mask_format="bitmap")
        assert [item["error"]["code"] for item in wrong] == [400, 400]
        assert "mask_format" in wrong[0]["error"]["message"]


class Broken(SegmentationPredictor):
    """Fails while computing, with something in its message that is nobody's business."""

    def predict(self, instances: Any) -> Any:
        raise ValueError("password at /etc/secret")


class Late(SegmentationPredictor):
    """Lets a request wait for longer than the endpoint does."""


def handled(
    predictor: type[SegmentationPredictor],
    content: Any,
    accept: str = "*/*",
    handler_class: type[SegmentationHandler] = SegmentationHandler,
) -> tuple[int, str]:
    """The reply of our handler around a predictor, without a server."""
    from fastapi import Request

    async def answer() -> Any:
        handler = handler_class(str(CHECKPOINTS["vit_tiny"].embedded_path), predictor)
        while not handler.ready:
            assert handler.failure is None
            await asyncio.sleep(0.05)
        if issubclass(predictor, Late):
            gate = threading.Event()
            handler._computer.submit(gate.wait)  # somebody else's work
            asyncio.get_running_loop().call_later(1.5, gate.set)

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": json.dumps(content).encode()}

        headers = [(b"content-type", b"application/json"), (b"accept", accept.encode())]
        scope = {"type": "http", "method": "POST", "headers": headers}
        return await handler.handle(Request(scope, receive))

    reply = asyncio.run(answer())
    return reply.status_code, bytes(reply.body).decode()


def test_internals_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "serving"):
        status, text = handled(Broken, {"instances": [POINT]})
    assert status == 500
    request_id = json.loads(text)["error"]["message"].rpartition("=")[2]
    assert "secret" not in text
    assert "ValueError" not in text
    assert any(request_id in record.getMessage() for record in caplog.records)
    assert "password at /etc/secret" in caplog.text


class Lost(SegmentationPredictor):
    """Its accelerator is lost to the process."""

    def predict(self, instances: Any) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")


def test_a_server_that_lost_its_accelerator_ends(caplog: pytest.LogCaptureFixture) -> None:
    """It would be healthy otherwise, and answer every request with 500."""
    ended: list[str] = []

    class Watched(SegmentationHandler):
        def _give_up(self, error: Exception) -> None:
            self.on_failure = lambda: ended.append(str(self.failure))
            super()._give_up(error)

    status, text = handled(Lost, {"instances": [POINT]}, handler_class=Watched)
    assert status == 500 and "illegal" not in text
    assert ended == ["CUDA error: an illegal memory access was encountered"]
    assert "cannot serve: RuntimeError: CUDA error" in caplog.text


def test_what_waited_too_long_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVING_TIMEOUT_SECONDS", "1")
    status, text = handled(Late, {"instances": [POINT]})
    assert status == 503
    assert "waited longer" in text


class LateInBatch(Late):
    """Notes how long a request that waited has still to be computed."""

    left: ClassVar[list[float]] = []

    def predict(self, instances: Any) -> Any:
        self.left.append(instances.deadline - time.monotonic())
        return super().predict(instances)


def test_time_of_a_batch_begins_when_it_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the first of many requests at once spent theirs on waiting for the others."""
    monkeypatch.setenv("SERVING_BATCH", "on")
    status, _text = handled(LateInBatch, {"instances": [POINT]})
    assert status == 200
    (left,) = LateInBatch.left
    assert left > BATCH_SECONDS - REPLY_SECONDS - 1.0  # it waited for 1.5 s


def test_only_json_is_made() -> None:
    status, text = handled(SegmentationPredictor, {"instances": [POINT]}, accept="text/html")
    assert status == 400
    assert "Accept" in text
