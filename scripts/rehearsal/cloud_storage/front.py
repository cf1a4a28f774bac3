"""The front: it asks who calls, whether he may, and then fake-gcs-server.

Each connection of a client is a thread with a connection of its own to the server behind.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

from scripts.rehearsal.cloud_storage.access import Access
from scripts.rehearsal.cloud_storage.errors import StorageRefusal
from scripts.rehearsal.cloud_storage.requested import (
    Requested,
    UnknownRequestError,
    read_request,
    session_of,
)
from scripts.rehearsal.cloud_storage.versions import Versions
from scripts.rehearsal.iam.callers import OPERATOR, UnknownCallerError, address_as, caller_of

BACKEND_SECONDS = 120.0
JSON = "application/json"
# What belongs to one connection, and the credentials, which the server behind takes for its own.
_OWN = frozenset(("connection", "transfer-encoding", "content-length", "keep-alive"))
_NOT_SENT_ON = _OWN | {"authorization"}
Reply = tuple[int, list[tuple[str, str]], bytes]


class Front(ThreadingHTTPServer):
    """The server.

    Args:
        port: where it listens, on loopback.
        backend: address of fake-gcs-server.
        access: who may do what.
        versions: what is no longer current.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, backend: str, access: Access, versions: Versions) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.backend = urlsplit(backend)
        self.access, self.versions = access, versions
        self.sessions: dict[str, tuple[str, str]] = {}  # the object of each resumable upload


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # a reply leaves whole, when it is flushed
    server: Front
    _backend: http.client.HTTPConnection | None = None

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if "Transfer-Encoding" in self.headers:
                self.close_connection = True
                raise StorageRefusal(411, "You must provide the Content-Length HTTP header.")
            caller = caller_of(self.headers.get("Authorization", ""))
            requested = read_request(
                self.command, self.path, self.headers.get("Content-Type", ""), body
            )
            self.server.access.check(caller, requested, self._exists)
            status, headers, content = self._answer(requested, body)
        except UnknownCallerError:
            refusal = StorageRefusal(401, "Invalid Credentials", "authError")
            status, headers, content = _refused(refusal)
        except UnknownRequestError as error:
            refusal = StorageRefusal(400, f"The stand-in does not know: {error}")
            status, headers, content = _refused(refusal)
        except StorageRefusal as refusal:
            status, headers, content = _refused(refusal)
        else:
            if requested.query.get("alt") != "media":  # what somebody stored stays as it is
                headers, content = self._addressed(caller, headers, content)
        self._send(status, headers, content)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve

    def _answer(self, requested: Requested, body: bytes) -> Reply:
        """Ask the server behind, and keep the versions that it does not."""
        versions, query = self.server.versions, requested.query
        generation = query.get("generation", "")
        if requested.deleted and versions.remove(*requested.deleted, generation):
            return 204, [], b""
        if requested.deleted_bucket and versions.below(requested.deleted_bucket, ""):
            raise StorageRefusal(409, "The bucket you tried to delete is not empty.")
        replaced = self._replaced(requested)
        status, headers, content = self._ask_backend(self.command, self.path, body)
        if replaced and status < 300:
            versions.add(*replaced)
        if requested.begins_session and requested.written and status == 200:
            location = next((value for name, value in headers if name.lower() == "location"), "")
            self.server.sessions[session_of(location)] = requested.written
        if requested.lists and status == 200 and query.get("versions", "").lower() == "true":
            content = _with_versions(content, versions.below(*requested.lists))
        return status, headers, content

    def _replaced(self, requested: Requested) -> tuple[str, str] | None:
        """The object whose version a request makes noncurrent, if it succeeds."""
        changed = requested.written or requested.deleted
        if requested.session:
            changed = self.server.sessions.get(requested.session)
        for_good = requested.deleted is not None and "generation" in requested.query
        if changed is None or for_good or requested.begins_session:
            return None
        versioned = self.server.access.is_versioned(changed[0])
        return changed if versioned and self._exists(*changed) else None

    def _exists(self, bucket: str, name: str) -> bool:
        target = f"/storage/v1/b/{quote(bucket, safe='')}"
        if name:
            target += f"/o/{quote(name, safe='')}"
        return self._ask_backend("GET", target, b"", own=True)[0] == 200

    def _ask_backend(self, method: str, target: str, body: bytes, *, own: bool = False) -> Reply:
        sent = {} if own else {k: v for k, v in self.headers.items() if _passes(k)}
        if self._backend is None:
            host, port = self.server.backend.hostname or "", self.server.backend.port
            self._backend = http.client.HTTPConnection(host, port, timeout=BACKEND_SECONDS)
            self._backend.connect()
            self._backend.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._backend.request(method, target, body or None, sent)
            reply = self._backend.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        except (OSError, http.client.HTTPException) as error:
            self._backend.close()
            self._backend = None
            raise StorageRefusal(503, "We encountered an internal error.") from error

    def _addressed(
        self, caller: str, headers: list[tuple[str, str]], content: bytes
    ) -> tuple[list[tuple[str, str]], bytes]:
        """Write the caller into the addresses of a reply: its client sends no other credentials."""
        if caller == OPERATOR:
            return headers, content
        url = self.server.url
        own = address_as(url, caller)
        headers = [(name, value.replace(url, own)) for name, value in headers]
        if any(name.lower() == "content-type" and JSON in value for name, value in headers):
            content = content.replace(url.encode(), own.encode())
        return headers, content

    def _send(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        length = str(len(content))
        for name, value in headers:
            if name.lower() not in _OWN:
                self.send_header(name, value)
            elif name.lower() == "content-length" and self.command == "HEAD":
                length = value
        if status != 204:
            self.send_header("Content-Length", length)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the client has gone
            if self.command != "HEAD":
                self.wfile.write(content)
            self.wfile.flush()

    def finish(self) -> None:
        """Close both connections."""
        if self._backend is not None:
            self._backend.close()
        with contextlib.suppress(ConnectionError):
            super().finish()

    def log_message(self, *_arguments: Any) -> None:
        """Log nothing."""


def _passes(header: str) -> bool:
    return header.lower() not in _NOT_SENT_ON


def _refused(refusal: StorageRefusal) -> Reply:
    return refusal.status, [("Content-Type", f"{JSON}; charset=UTF-8")], refusal.body()


def _with_versions(content: bytes, noncurrent: list[dict[str, Any]]) -> bytes:
    listing = json.loads(content)
    if not listing.get("nextPageToken"):  # they follow on the last page
        listing["items"] = [*listing.get("items", []), *noncurrent]
    return json.dumps(listing).encode()
