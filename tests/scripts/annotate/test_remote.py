"""Masks by a real model server instead of the engine in this process."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from scripts.annotate import remote
from scripts.annotate.remote import ServerSegmenter
from scripts.annotate.segmenters import Segmenter
from scripts.online_predictions.servers import ask_server
from serving.sam.masks import decode_mask
from tests.conftest import draw_scene
from tests.scripts.annotate.conftest import Serve
from tests.serving.conftest import Client, serve_here

__all__ = ["serve_here"]
ServeModel = Callable[..., AbstractContextManager[Client]]
APPLE = {"points": [[80, 100]], "labels": [1]}


def asking(model: Client) -> ServerSegmenter:
    return ServerSegmenter("a server", functools.partial(ask_server, f"{model.url}/predict"))


def test_a_model_server_gives_the_masks_of_the_engine(
    serve: Serve, serve_here: ServeModel, segmenter: Segmenter, tmp_path: Path
) -> None:
    here = TestClient(serve(output=tmp_path / "here").app)
    with serve_here() as model:
        there = TestClient(serve(output=tmp_path / "there", maker=asking(model)).app)
        for client in (here, there):
            port = client.app.user_middleware[0].kwargs["access"].port  # type: ignore[attr-defined]
            client.base_url = f"http://127.0.0.1:{port}"
            client.headers["Origin"] = f"http://127.0.0.1:{port}"
        for prompt in (APPLE, {"box": [170, 30, 275, 122]}):
            replies = [
                client.post("/api/images/0/candidates", json={"prompt": prompt}).json()
                for client in (here, there)
            ]
            assert [len(reply["candidates"]) for reply in replies] in ([3, 3], [1, 1])
            for one, other in zip(*(reply["candidates"] for reply in replies), strict=True):
                assert one["segmentation"] == other["segmentation"]
        found = there.post("/api/images/2/everything").json()["objects"]
        assert len(found) == len(here.post("/api/images/2/everything").json()["objects"]) > 0
        body = {"prompt": APPLE, "candidate": 2, "category": "apple"}
        areas = [c.put("/api/images/0/objects/x", json=body).json()["area"] for c in (here, there)]
        assert areas[0] == areas[1]


def test_the_image_is_sent_once_and_again_when_the_server_has_lost_it(
    serve: Serve, serve_here: ServeModel
) -> None:
    sent: list[bool] = []
    lost: list[bool] = []
    with serve_here() as model:

        def ask(body: dict[str, Any]) -> dict[str, Any]:
            (instance,) = body["instances"]
            sent.append("image" in instance)
            if lost and "image_id" in instance:
                instance["image_id"] = "0" * 64  # as of an image that the server never had
            return ask_server(f"{model.url}/predict", body)

        served = serve(maker=ServerSegmenter("a server", ask))
        base = served.address.rstrip("/")
        client = TestClient(served.app, base_url=base, headers={"Origin": base})
        address, body = "/api/images/0/candidates", {"prompt": APPLE}
        replies = [client.post(address, json=body).json() for _ in range(2)]
        assert sent == [True, False, False]  # to prepare it, and two prompts
        lost.append(True)
        replies.append(client.post(address, json=body).json())
        assert sent[3:] == [False, True]
        assert replies[0] == replies[1] == replies[2]


def test_an_image_too_large_to_send_is_sent_as_the_network_sees_it(
    serve: Serve, serve_here: ServeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_MOST_BYTES", 2000)
    folder = tmp_path / "large"
    folder.mkdir()
    Image.fromarray(draw_scene(1600, 1200)).save(folder / "large.png")
    with serve_here() as model:
        served = serve(folder, maker=asking(model))
        base = served.address.rstrip("/")
        client = TestClient(served.app, base_url=base, headers={"Origin": base})
        body = {"prompt": {"box": [860, 160, 1380, 620]}}
        record = client.put("/api/images/0/objects/x", json=body).json()
        mask = decode_mask(record["segmentation"])
        truth = np.zeros((1200, 1600), np.bool_)
        truth[180:600, 880:1360] = True
        assert (mask & truth).sum() / (mask | truth).sum() > 0.8
        assert served.read("prompts.json")["large.png"][0]["box"] == [860, 160, 1380, 620]


def test_a_server_that_is_gone_or_another_is_an_error_of_its_own(serve: Serve) -> None:
    def other(_: object) -> dict[str, object]:
        return {"answer": 42}

    dead = functools.partial(ask_server, "http://127.0.0.1:9/predict")
    for ask, words in ((dead, "does not answer"), (other, "another form")):
        served = serve(maker=ServerSegmenter("a server", ask))
        base = served.address.rstrip("/")
        client = TestClient(served.app, base_url=base, headers={"Origin": base})
        reply = client.post("/api/images/0/candidates", json={"prompt": APPLE})
        assert reply.status_code == 502 and words in reply.json()["error"]
        assert "/home" not in reply.text
        served.stop()
        served.store.close()
