"""Run the stand-in: http as the regional service, https as the names of dedicated endpoints.

python -m scripts.rehearsal.vertex_ai --home .rehearsal --port 8600 --tls-port 8601
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from pathlib import Path

import uvicorn

from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.vertex_ai.http.app import make_app
from scripts.rehearsal.vertex_ai.http.certificate import Certificates
from scripts.rehearsal.vertex_ai.service import Service
from scripts.rehearsal.vertex_ai.state import State
from scripts.rehearsal.vertex_ai.storage_clients import StorageClients


class _Server(uvicorn.Server):
    """One of two servers in this process: it leaves the signals to whoever runs both."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


async def _serve(servers: list[uvicorn.Server]) -> None:
    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    await asyncio.gather(*(server.serve() for server in servers))


def main() -> None:
    """Serve until SIGTERM or SIGINT, and end all containers with it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--home", type=Path, required=True, help="folder of the local cloud")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls-port", type=int, required=True)
    arguments = parser.parse_args()
    clients = StorageClients(os.environ["STORAGE_EMULATOR_HOST"])
    certificates = Certificates(arguments.home)
    state = State(World(arguments.home / "world.json"), f"https://127.0.0.1:{arguments.tls_port}")
    service = Service(state, clients, arguments.home)
    service.resume()
    # A TLS connection that its client left half closed would hold the end up for 30 s.
    plain = {"host": "127.0.0.1", "log_level": "warning", "timeout_graceful_shutdown": 2}
    regional = uvicorn.Config(make_app(service, dedicated=False), port=arguments.port, **plain)
    dedicated = uvicorn.Config(
        make_app(service, dedicated=True),
        port=arguments.tls_port,
        ssl_certfile=str(certificates.certificate),
        ssl_keyfile=str(certificates.key),
        **plain,
    )
    dedicated.load()
    assert dedicated.ssl is not None  # noqa: S101  (it has a certificate)
    certificates.answer_to_names(dedicated.ssl)
    servers: list[uvicorn.Server] = [_Server(regional), _Server(dedicated)]
    try:
        asyncio.run(_serve(servers))
    finally:
        service.stop()


if __name__ == "__main__":
    main()
