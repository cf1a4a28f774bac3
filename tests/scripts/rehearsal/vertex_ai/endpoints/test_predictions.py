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


def test_shared_endpoint_reads_numbers_as_protobuf_does(vertex: Vertex) -> None:
    """Every number arrives and returns as a double; ``rawPredict`` passes bodies on."""
    vertex.deployed(vertex.uploaded())
    with vertex.world.open() as world:
        world["resources"]["google_vertex_ai_endpoint"][ENDPOINT]["dedicated_endpoint_enabled"] = 0
    try:
        instance = {"input_label": [1, 0], "name": "1", "flag": True}
        body = {"instances": [instance]}
        echoed = vertex.call("POST", f"{ENDPOINT}:predict", body).text
        raw = vertex.call("POST", f"{ENDPOINT}:rawPredict", body).text
    finally:
        with vertex.world.open() as world:
            values = world["resources"]["google_vertex_ai_endpoint"][ENDPOINT]
            values["dedicated_endpoint_enabled"] = True
    assert '"input_label": [1.0, 0.0], "name": "1", "flag": true' in echoed
    assert '"input_label": [1, 0]' in raw


def test_first_requests_after_a_change_may_meet_a_proxy_that_does_not_know(vertex: Vertex) -> None:
    with vertex.world.open() as world:
        world["unsettled_requests"] = 1
    try:
        id_ = vertex.deployed(vertex.uploaded())
        assert [vertex.predict("x").status_code for _ in range(2)] == [503, 200]
        vertex.ok("PATCH", ENDPOINT, {"trafficSplit": {id_: 100}})
        assert [vertex.predict("x").status_code for _ in range(2)] == [503, 200]
    finally:
        with vertex.world.open() as world:
            del world["unsettled_requests"]
