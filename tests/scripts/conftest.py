"""Vertex AI's stand-in, started once for all tests of what talks to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from scripts.rehearsal import local_cloud as clouds
from tests.stand_ins.vertex import Vertex, furnish


@pytest.fixture(scope="session")
def running_vertex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vertex]:
    home = tmp_path_factory.mktemp("vertex")
    vertex = Vertex(clouds.start(home))
    furnish(vertex, home / "images" / "tree")
    yield vertex
    clouds.stop(home)


@pytest.fixture
def vertex(running_vertex: Vertex) -> Iterator[Vertex]:
    """The stand-in with an endpoint and nothing on it."""
    yield running_vertex
    running_vertex.clear()


@pytest.fixture
def fault(vertex: Vertex) -> Callable[..., None]:
    """Inject a fault."""

    def inject(**content: Any) -> None:
        url = f"{vertex.cloud.vertex_url}/rehearsal/faults"
        assert requests.post(url, json=content, timeout=10).status_code == 200

    return inject


@pytest.fixture
def shell(vertex: Vertex, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is pointed at the stand-ins, as a shell of an operator who rehearses."""
    from serving.storage.client import storage_client

    for name, value in vertex.cloud.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p1")
    storage_client.cache_clear()
    yield
    storage_client.cache_clear()
