"""Lets calls meet the faults that somebody asked for."""

from __future__ import annotations

import asyncio

from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.vertex_ai.faults import Faults


class FaultInjection:
    """Answers 429 or 503, waits, or closes the connection, before the application is asked.

    Or the application does what it is asked, and its answer is lost.

    It lies around the whole application: what is inside FastAPI answers every exception, and gets a
    ``send`` that is no longer the server's.

    Args:
        app: the application.
        faults: the faults of the world.
        exempt: paths that begin so meet no fault.
    """

    def __init__(self, app: ASGIApp, faults: Faults, exempt: str) -> None:
        self._app, self._faults, self._exempt = app, faults, exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] != "http" or scope["path"].startswith(self._exempt):
            await self._app(scope, receive, send)
            return
        call = f"{scope['method']} {scope['path']}"
        fault = await run_in_threadpool(self._faults.take_for_call, call)
        kind = fault["kind"] if fault else ""
        if kind == "late":
            await self._app(scope, receive, _to_nobody)
        if kind in ("drop", "late"):
            # ASGI has no message that closes a connection: a server answers 500 for an application
            # that raises or says nothing. uvicorn's own ``send`` belongs to the request's cycle,
            # which has the connection.
            send.__self__.transport.abort()  # type: ignore[attr-defined]
            return
        if fault and kind == "slow":
            await asyncio.sleep(float(fault["seconds"]))
        elif kind:
            error = ApiError(int(kind), "Injected.")
            await JSONResponse(error.body(), error.code)(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def _to_nobody(_message: Message) -> None:
    """Takes an answer that nobody receives."""
