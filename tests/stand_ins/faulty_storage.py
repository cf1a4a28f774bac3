"""Faults for the storage stand-in: a proxy before it that refuses, waits, or hangs up.

A client that is pointed at the proxy meets a fault with every n-th request, in turn ``429``,
``503``, ``drop`` (the connection ends without an answer), ``late`` (the request is carried out and
then the connection ends) and ``slow``.
"""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

KINDS = ("429", "503", "drop", "late", "slow")
SLOW_SECONDS = 0.5
_OWN = ("connection", "transfer-encoding", "content-length", "keep-alive")


class _QuietServer(ThreadingHTTPServer):
    """Says nothing of clients that are killed in the middle of a request."""

    def handle_error(self, _request: Any, _address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(_request, _address)


class FaultyStorage:
    """A proxy in threads of this process.

    Args:
        backend: address of the storage stand-in.
        port: where to listen; 0 for any.
        every: every which request meets a fault; 0 for none.

    Attributes:
        url: where it listens.
        intercept: called with method and address of each request before the stand-in gets it; a
            status other than 0 is the answer.
        faults: how many the clients have met, by kind.
        down_until: while this is in the future (``time.monotonic``), everything fails.
    """

    def __init__(self, backend: str, port: int = 0, every: int = 5) -> None:
        self._backend = urlsplit(backend)
        self._every = every
        self._lock = threading.Lock()
        self._count = 0
        self.down_until = 0.0
        self.intercept: Callable[[str, str], int] = lambda _method, _address: 0
        self.faults: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._server = _QuietServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        """Serve until :meth:`stop`."""
        self._server.serve_forever(poll_interval=0.1)

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()

    def fault(self) -> str:
        """The fault that the next request meets, or an empty string."""
        with self._lock:
            self._count += 1
            if time.monotonic() < self.down_until:
                kind = "503" if self._count % 2 else "drop"
            elif not self._every or self._count % self._every:
                return ""
            else:
                kind = KINDS[self._count // self._every % len(KINDS)]
            self.faults[kind] += 1
            return kind

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Ask the stand-in."""
        host, port = self._backend.hostname or "127.0.0.1", self._backend.port
        connection = http.client.HTTPConnection(host, port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            connection.close()

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status = proxy.intercept(self.command, self.path)
                if status:
                    return self._answer(status, [], b'{"error": {"message": "injected"}}')
                kind = proxy.fault()
                if kind == "drop":
                    return self._hang_up()
                if kind in ("429", "503"):
                    return self._answer(int(kind), [], b'{"error": {"message": "injected"}}')
                if kind == "slow":
                    time.sleep(SLOW_SECONDS)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in _OWN}
                status, answered, content = proxy.forward(self.command, self.path, headers, body)
                if kind == "late":
                    return self._hang_up()
                return self._answer(status, answered, content)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve

            def _hang_up(self) -> None:
                self.close_connection = True
                self.connection.close()

            def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _OWN:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            def log_message(self, *_arguments: Any) -> None:
                """Log nothing."""

        return Handler
