"""Predictions: limits, the right name, and what an undeployment waits for."""

from __future__ import annotations

import threading
import time

import requests

from tests.stand_ins.vertex import ENDPOINT, Vertex


def test_predictions_keep_to_the_endpoints_rules(vertex: Vertex) -> None:
    assert vertex.predict("x").status_code == 404  # nothing deployed
    vertex.deployed(vertex.uploaded())
    shared = vertex.call("POST", f"{ENDPOINT}:predict", {"instances": ["x"]})
    assert shared.status_code == 400
    assert "dedicated" in shared.json()["error"]["message"].lower()
    bad = vertex.predict("bad")
    assert bad.status_code == 400
    assert "bad instance" in bad.json()["error"]["message"]
    assert vertex.predict("large").status_code == 413
    assert vertex.predict("y" * 10_000_001).status_code == 413


def test_container_answers_its_open_requests_before_it_ends(vertex: Vertex) -> None:
    blue = vertex.deployed(vertex.uploaded(modelId="sam"))
    replies: list[requests.Response] = []
    client = threading.Thread(target=lambda: replies.append(vertex.predict({"sleep": 1.0})))
    client.start()
    time.sleep(0.3)
    vertex.wait(vertex.ok("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": blue}))
    client.join()
    assert replies[0].status_code == 200
