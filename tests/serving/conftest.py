"""Real model servers, each a process with the variables that Vertex sets."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import subprocess
import sys
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

START_SECONDS = 60


def png(image: RgbImage) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(image).save(packed, "PNG")
    return packed.getvalue()


def base64_png(width: int = 320, height: int = 240) -> str:
    return base64.b64encode(png(draw_scene(width, height))).decode()


class Server:
    """A running model server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.log = process, log
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


@contextlib.contextmanager
def model_server(folder: Path, *, wait: bool = True, **variables: str) -> Iterator[Server]:
    port = free_port()
    artifacts = str(CHECKPOINTS["vit_tiny"].embedded_path)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("AIP_", "SERVING_"))},
        "AIP_STORAGE_URI": artifacts,
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/health",
        "AIP_PREDICT_ROUTE": "/predict",
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
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
    """Start a server with variables of one's own."""
    folder = tmp_path_factory.mktemp("servers")

    def start(**arguments: Any) -> contextlib.AbstractContextManager[Server]:
        return model_server(folder, **arguments)

    return start
