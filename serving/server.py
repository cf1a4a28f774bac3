"""The container's entry point: the SDK's model server with our handler, one worker.

    python -m serving.server

The SDK's server answers every health check with 200 and takes its handler from variables that a
Dockerfile has to set; this one answers 503 until it has loaded the model, exits when it
cannot load it, and shows its counters at ``/metrics``. It runs one process with one model for each
accelerator, where the SDK would start two.
"""

from __future__ import annotations

import logging
import os
import socket
import sys

from serving.sam.machine.waiting_threads import set_waiting

set_waiting(os.environ)  # the imports below load PyTorch

import orjson  # noqa: E402
import uvicorn  # noqa: E402
from fastapi import Request, Response  # noqa: E402
from google.cloud.aiplatform.prediction.model_server import CprModelServer  # noqa: E402

from serving.errors import ArtifactsError  # noqa: E402
from serving.front_page import front_page  # noqa: E402
from serving.handler import SegmentationHandler, metrics  # noqa: E402
from serving.log_lines import write_log_lines  # noqa: E402
from serving.sam.machine.allocator import keep_freed_memory  # noqa: E402

log = logging.getLogger("serving")
DEFAULTS = {
    "AIP_HTTP_PORT": "8080",
    "AIP_HEALTH_ROUTE": "/health",
    "AIP_PREDICT_ROUTE": "/predict",
    "HANDLER_MODULE": "serving.handler",
    "HANDLER_CLASS": "SegmentationHandler",
    "PREDICTOR_MODULE": "serving.predictor",
    "PREDICTOR_CLASS": "SegmentationPredictor",
}
KEEP_ALIVE_SECONDS = 75  # longer than load balancers keep idle connections, so they close first
DRAIN_SECONDS = 60


class ModelServer(CprModelServer):
    """The SDK's model server with a health check that waits for the model."""

    handler: SegmentationHandler

    def __init__(self) -> None:
        super().__init__()
        self.app.add_api_route("/metrics", self.metrics, methods=["GET"])
        self.app.add_api_route("/", self.front_page, methods=["GET"])

    async def health(self) -> Response:
        """200 when the model is loaded, with what computes here; 503 before."""
        if self.handler.ready:
            about = {"status": "ready", **self.handler.predictor.about}
            return Response(orjson.dumps(about), 200, media_type="application/json")
        return Response(b'{"status": "loading"}', 503, media_type="application/json")

    async def front_page(self, request: Request) -> Response:
        """What this is, for somebody with a browser; Vertex passes on no such request."""
        page = front_page(
            self.handler.predictor.about if self.handler.ready else {},
            address=str(request.base_url),
            predict=os.environ["AIP_PREDICT_ROUTE"],
            health=os.environ["AIP_HEALTH_ROUTE"],
        )
        return Response(page, 200, media_type="text/html; charset=utf-8")

    async def metrics(self) -> Response:
        """Counters; reached inside the container or with ``sam-vertex serve``, not on Vertex."""
        return Response(metrics(self.handler), media_type="text/plain; version=0.0.4")


def main(
    host: str = "0.0.0.0",  # noqa: S104 - Vertex asks the container to
    listener: socket.socket | None = None,
) -> int:
    """Serve until a signal stops the server; return 1 when the model cannot be loaded.

    Args:
        host: address to listen on.
        listener: a socket that is bound already, instead of one at ``AIP_HTTP_PORT``.
    """
    keep_freed_memory()
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    try:
        app = ModelServer()
    except ArtifactsError as error:
        write_log_lines(os.environ)
        log.critical("cannot serve: %s", error)
        return 1
    write_log_lines(os.environ)  # the SDK has set up its own, without severity
    config = uvicorn.Config(
        app,
        host=host,
        port=int(os.environ["AIP_HTTP_PORT"]),
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
        access_log=False,
        log_config=None,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    app.handler.on_failure = stop
    if app.handler.failure:
        stop()
    server.run(sockets=None if listener is None else [listener])
    return 1 if app.handler.failure else 0


if __name__ == "__main__":
    sys.exit(main())
