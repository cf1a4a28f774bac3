"""Who may talk to the annotation server: the page that it served, and nobody else.

A page of any site may send requests to this machine (cross-site request forgery), and a name that
it owns may lead here (DNS rebinding). So ``Host`` must be this server's, ``Origin`` the page's own,
and whoever comes from another machine shows the token of the address that the command printed, as
Jupyter does (Jupyter Server, "Security in the Jupyter Server").
"""

from __future__ import annotations

import asyncio
import dataclasses
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_COOKIE = "sam-annotate"
_SAFE = ("GET", "HEAD")
_GO_ON = '<!doctype html><title>annotate</title><meta http-equiv="refresh" content="0;url=/">'
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may come in.

    Attributes:
        port: the server's port.
        token: what the address must show; empty for none, on loopback.
    """

    port: int
    token: str = ""

    def refusal(self, method: str, headers: Headers) -> str:
        """Why a request is refused whatever it shows; empty where it is not."""
        host = headers.get("host", "")
        # Behind a token any name will do: a cookie is sent to the name that it came from only.
        if not self.token and host not in {f"{name}:{self.port}" for name in _LOOPBACK}:
            return f"this server answers at 127.0.0.1:{self.port} only"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "this server answers its own page only"
        if origin is None and method not in _SAFE:
            return "a request that changes something must say where it comes from (Origin)"
        if headers.get("sec-fetch-site", "same-origin") in ("cross-site", "same-site"):
            return "this server answers its own page only"
        return ""

    def admits(self, shown: str) -> bool:
        """Whether a token is the right one, in constant time."""
        return hmac.compare_digest(shown.encode(), self.token.encode())


class Guard:
    """Middleware that refuses strangers and sends the headers that confine the page."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._answer(scope) or self._app
        try:
            await answer(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # the server ends, and what was asked takes longer
            ended = PlainTextResponse("the server has ended\n", 503)
            await ended(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """The answer to a request that goes no further; ``None`` where it may."""
        headers = Headers(scope=scope)
        # A link to the page from elsewhere is fine where the address holds the token.
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        shown = query.get("token", [""])[0]
        fresh = bool(self._access.token) and shown != "" and scope["path"] == "/"
        if fresh and scope["method"] == "GET" and self._access.admits(shown):
            # A redirection would still count as coming from the site with the link, which gets
            # no SameSite=Strict cookie (RFC 6265bis, 5.2); a page of our own goes on from here.
            answer: Response = HTMLResponse(_GO_ON)
            answer.set_cookie(_COOKIE, shown, httponly=True, samesite="strict")
            return answer
        refusal = self._access.refusal(scope["method"], headers)
        if not refusal and self._access.token and not self._access.admits(_cookie(headers)):
            refusal = "open the address that the command printed: it holds the token"
        return PlainTextResponse(f"{refusal}\n", 403) if refusal else None


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""
