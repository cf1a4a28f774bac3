"""Runs the annotation server until somebody stops it."""

from __future__ import annotations

import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from scripts.terminal.errors import OperatorError

_DRAIN_SECONDS = 2


def bind(host: str, port: int) -> socket.socket:
    """Take a port before anything is loaded; port 0 for a free one.

    Raises:
        OperatorError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"{host}:{port} cannot be used: {error.strerror or error}",
            hint="end the other program there, or choose another --port",
        ) from error
    return listener


class Server(uvicorn.Server):
    """The server of one page; ``run`` answers requests until Ctrl-C, SIGTERM or ``should_exit``.

    Args:
        app: what answers.
        started: called when the first request would be answered.
    """

    def __init__(self, app: FastAPI, started: Callable[[], object]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
                access_log=False,
                log_level="warning",
                server_header=False,
                lifespan="off",
            )
        )
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        self._started()
