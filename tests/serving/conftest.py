"""Real model servers with the variables that Vertex sets: processes, or threads of this one."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from scripts.rehearsal.processes import free_port
from serving.sam.images import RgbImage
from serving.sam.known_checkpoints import CHECKPOINTS
from tests.conftest import draw_scene

START_SECONDS = 120


def png(image: RgbImage) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(image).save(packed, "PNG")
    return packed.getvalue()


def base64_png(width: int = 320, height: int = 240) -> str:
    return base64.b64encode(png(draw_scene(width, height))).decode()


class Client:
    """What a client of a model server does."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def post(self, content: Any = None, **arguments: Any) -> requests.Response:
        if content is not None:
            arguments["json"] = content
        return requests.post(f"{self.url}/predict", timeout=60, **arguments)

    def predict(self, *instances: dict[str, Any], **parameters: Any) -> Any:
        reply = self.post({"instances": list(instances), "parameters": parameters})
        assert reply.status_code == 200, reply.text
        return reply.json()["predictions"]

    def health(self) -> int:
        return requests.get(f"{self.url}/health", timeout=5).status_code

    def metrics(self) -> dict[str, float]:
        text = requests.get(f"{self.url}/metrics", timeout=5).text
        return {
            name: float(value) for name, value in (line.split(" ") for line in text.splitlines())
        }


class Server(Client):
    """A model server that is a process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        super().__init__(port)
        self.process, self.log = process, log


def vertex_variables(port: int) -> dict[str, str]:
    """What Vertex sets in a container, for the embedded checkpoint."""
    return {
        "AIP_STORAGE_URI": str(CHECKPOINTS["vit_tiny"].embedded_path),
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/health",
        "AIP_PREDICT_ROUTE": "/predict",
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
    }


@contextlib.contextmanager
def model_server(folder: Path, *, wait: bool = True, **variables: str) -> Iterator[Server]:
    port = free_port()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AIP_", "SERVING_"))},
        **vertex_variables(port),
        **variables,
    }
    log = folder / f"server-{port}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "serving.server"],
            env=environment,
            stdout=output,
            stderr=output,
            cwd=Path(__file__).parents[2],
        )
    server = Server(process, port, log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while wait:
            with contextlib.suppress(requests.ConnectionError):
                if server.health() == 200:
                    break
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the embedded checkpoint with the settings of a dedicated endpoint."""
    with model_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def launch(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., contextlib.AbstractContextManager[Server]]:
    """Start a server with the variables of a test."""
    folder = tmp_path_factory.mktemp("servers")

    def start(**arguments: Any) -> contextlib.AbstractContextManager[Server]:
        return model_server(folder, **arguments)

    return start


@pytest.fixture
def serve_here(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., contextlib.AbstractContextManager[Client]]:
    """Serve in a thread of this process, with variables of one's own; yields when it is ready.

    The same server, handler and predictor over HTTP; what is saved is the start of a process.
    """

    @contextlib.contextmanager
    def start(**variables: str) -> Iterator[Client]:
        import uvicorn

        from serving.server import DEFAULTS, ModelServer

        port = free_port()
        for name, value in {**DEFAULTS, **vertex_variables(port), **variables}.items():
            monkeypatch.setenv(name, value)
        app = ModelServer()
        config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="warning")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            deadline = time.monotonic() + START_SECONDS
            while not (server.started and app.handler.ready):
                assert app.handler.failure is None, app.handler.failure
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join(30)

    return start
