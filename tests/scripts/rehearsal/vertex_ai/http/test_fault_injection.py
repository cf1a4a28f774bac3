"""Calls and operations meet the faults that somebody asked for."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import requests

from tests.stand_ins.vertex import ENDPOINT, PARENT, Vertex


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("503", 503)])
def test_calls_meet_a_fault_as_often_as_it_says(
    vertex: Vertex, fault: Callable[..., None], kind: str, status: int
) -> None:
    fault(method="models", kind=kind, times=2)
    statuses = [vertex.call("GET", f"{PARENT}/models").status_code for _ in range(3)]
    assert statuses == [status, status, 200]


def test_operations_fail_and_connections_drop_on_request(
    vertex: Vertex, fault: Callable[..., None]
) -> None:
    fault(method="DeployModel", kind="operation")
    model = vertex.uploaded()
    assert "injected" in vertex.wait(vertex.deploy(model).json())["error"]["message"]
    fault(method="endpoints", kind="drop")
    with pytest.raises(requests.ConnectionError):
        vertex.call("GET", ENDPOINT)
    fault(method="endpoints", kind="slow", seconds=0.3)
    began = time.monotonic()
    vertex.ok("GET", ENDPOINT)
    assert time.monotonic() - began >= 0.3
