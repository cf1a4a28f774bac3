"""A server that gives the answers that a test has set, as a project's services would."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any


class Answers:
    """Answers by path; what is not there is 404.

    Attributes:
        address: where it listens.
        asked: method and path of every request, in order.
    """

    def __init__(self) -> None:
        self.address = ""
        self.asked: list[tuple[str, str]] = []
        self._answers: dict[str, list[tuple[int, Any]]] = {}

    def set(self, path: str, *contents: Any, status: int = 200) -> None:
        """Answer a path with one content after the other, the last one again and again."""
        self._answers[path] = [(status, content) for content in contents]

    def set_all(self, path: str, *answers: tuple[int, Any]) -> None:
        """The same with a status of its own for each answer."""
        self._answers[path] = list(answers)

    def answer(self, method: str, path: str) -> tuple[int, Any]:
        """The answer to one request."""
        self.asked.append((method, path))
        missing = [(404, {"error": {"code": 404, "message": "not found"}})]
        known = self._answers.get(path.partition("?")[0], missing)
        return known.pop(0) if len(known) > 1 else known[0]


@contextlib.contextmanager
def answering() -> Iterator[Answers]:
    """Serve answers for this block."""
    known = Answers()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, content = known.answer(self.command, self.path)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_arguments: Any) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    known.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield known
    server.shutdown()
    server.server_close()
