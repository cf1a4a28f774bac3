"""Endpoints as resources, and names that mean nothing."""

from __future__ import annotations

from tests.stand_ins.vertex import PARENT, Vertex


def test_unknown_things_and_wrong_ids(vertex: Vertex) -> None:
    for path in (f"{PARENT}/models/none", f"{PARENT}/endpoints/none", f"{PARENT}/operations/1"):
        assert vertex.call("GET", path).status_code == 404
    wrong = vertex.call("POST", f"{PARENT}/endpoints?endpointId=-a", {"displayName": "x"})
    assert wrong.status_code == 400
    made = vertex.wait(
        vertex.ok("POST", f"{PARENT}/endpoints?endpointId=other", {"displayName": "x"})
    )
    assert made["name"] == f"{PARENT}/endpoints/other"
    again = vertex.call("POST", f"{PARENT}/endpoints?endpointId=other", {"displayName": "x"})
    assert again.status_code == 409
    vertex.wait(vertex.ok("DELETE", f"{PARENT}/endpoints/other"))
