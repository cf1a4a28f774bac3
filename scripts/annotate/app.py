"""The annotation server: what the page asks, answered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from pipeline.run.claim import ClaimLostError
from scripts.annotate.errors import AnnotateError
from scripts.annotate.guard import Access, Guard
from scripts.annotate.objects import (
    make_record,
    parse_category,
    parse_object,
    parse_verdict,
    shown,
)
from scripts.annotate.saved.masks_files import masked_images
from scripts.annotate.saved.store import AnnotationStore
from scripts.annotate.segmenters import Segmenter, fit_frame
from scripts.annotate.shelf import ImageShelf, OpenImage
from scripts.annotate.workers import Worker
from scripts.terminal.errors import CALLER, OperatorError, as_operator_error
from serving.sam.errors import SamError
from serving.sam.masks import encode_mask
from serving.sam.prompts import parse_prompt
from serving.storage import StorageError

PAGE = Path(__file__).parent / "page"
PREVIEW_SIDE = 1024  # of the masks that follow the pointer
_MOST_BODY_BYTES = 8 << 20
_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
Result = TypeVar("Result")


class AnnotationServer:
    """Answers the page; computing happens in threads, one for prompts and one for embeddings.

    Args:
        shelf: the images.
        store: what was annotated.
        segmenter: makes the masks.
        warning: what the page says about the network, in one line; may be empty.
    """

    def __init__(
        self,
        shelf: ImageShelf,
        store: AnnotationStore,
        segmenter: Segmenter,
        *,
        warning: str = "",
    ) -> None:
        self._shelf, self._store, self._segmenter = shelf, store, segmenter
        self._warning = warning
        self._embedding, self._decoding = Worker("embedding"), Worker("decoding")
        self._under_way: dict[int, asyncio.Future[float]] = {}
        self._last_seconds = 0.0
        store.draw_what_is_left(shelf)

    @property
    def is_busy(self) -> bool:
        """Whether a thread computes now."""
        return self._embedding.is_busy or self._decoding.is_busy

    def app(self, access: Access) -> FastAPI:
        """The server's routes behind a guard."""
        app = FastAPI(title="sam-vertex annotate", docs_url=None, redoc_url=None, openapi_url=None)
        app.add_middleware(Guard, access=access)
        app.add_exception_handler(Exception, _failed)
        for known in (AnnotateError, ClaimLostError, OperatorError, SamError, StorageError):
            app.add_exception_handler(known, _refused)
        image = "/api/images/{number:int}"
        routes: list[tuple[str, str, Callable[..., Awaitable[Response]]]] = [
            ("GET", "/", self.page),
            ("GET", "/page/{name:path}", self.page),
            ("GET", "/api/session", self.session),
            ("GET", image, self.image),
            ("GET", f"{image}/picture", self.picture),
            ("POST", f"{image}/embedding", self.embed),
            ("POST", f"{image}/candidates", self.candidates),
            ("POST", f"{image}/everything", self.everything),
            ("PUT", f"{image}/objects/{{identifier}}", self.put_object),
            ("PATCH", f"{image}/objects/{{identifier}}", self.change_object),
            ("DELETE", f"{image}/objects/{{identifier}}", self.delete_object),
        ]
        for method, path, answer in routes:
            app.add_api_route(path, answer, methods=[method])
        return app

    async def page(self, name: str = "index.html") -> Response:
        """A file of the page."""
        files = {
            path.relative_to(PAGE).as_posix(): path
            for path in PAGE.rglob("*")
            if path.suffix in _MEDIA_TYPES
        }
        if name not in files:
            raise AnnotateError("there is no such page", 404)
        path = files[name]
        return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix])

    async def session(self) -> Response:
        """What there is to annotate, and where it is kept."""
        masked = await _in_thread(lambda: masked_images(self._store.output))
        images = [
            {
                "name": image.name,
                "masks": image.name in masked,
                "accepted": self._store.accepted(image.name),
            }
            for image in self._shelf.images
        ]
        content = {
            "images": images,
            "output": self._store.output.uri,
            "categories": self._store.categories(),
            "segmenter": self._segmenter.name,
            "warning": self._warning,
        }
        return JSONResponse(content)

    async def image(self, number: int) -> Response:
        """An image and its objects."""
        image = await self._open(number)
        objects = await _in_thread(lambda: self._store.objects(image))
        height, width = image.size_hw
        content = {
            "name": image.name,
            "width": width,
            "height": height,
            "prepared": self._segmenter.is_prepared(image),
            "expected_seconds": self._last_seconds,
            "objects": [shown(record) for record in objects],
        }
        return JSONResponse(content)

    async def picture(self, number: int) -> Response:
        """The image as a browser shows it."""
        image = await self._open(number)
        content = await _in_thread(image.picture)
        return Response(content, media_type="image/jpeg")

    async def embed(self, number: int) -> Response:
        """Embed an image; answers when that is done."""
        seconds = await self._prepare(number, await self._open(number))
        return JSONResponse({"seconds": round(seconds, 4)})

    async def candidates(self, number: int, request: Request) -> Response:
        """The masks that a prompt may mean, small enough to follow a pointer."""
        body = await _json(request)
        image = await self._open(number)
        prompt = parse_prompt(body.get("prompt"), "prompt")
        await self._prepare(number, image)
        if await request.is_disconnected():
            return Response(status_code=204)
        found = await self._decoding(
            lambda: self._segmenter.candidates(image, prompt, PREVIEW_SIDE)
        )
        rows = [
            {"segmentation": encode_mask(one.mask), "score": round(one.score, 4)} for one in found
        ]
        return JSONResponse({"frame": fit_frame(image.size_hw, PREVIEW_SIDE), "candidates": rows})

    async def everything(self, number: int) -> Response:
        """Automatic masks, which nobody has judged yet; nothing is kept of them here."""
        image = await self._open(number)
        records = await self._embedding(lambda: self._segmenter.everything(image))
        return JSONResponse({"objects": [shown(dict(record)) for record in records]})

    async def put_object(self, number: int, identifier: str, request: Request) -> Response:
        """Keep an object; sending it again changes nothing."""
        body = await _json(request)
        image = await self._open(number)
        wanted = parse_object(identifier, body, image)
        if wanted.prompt is not None:
            await self._prepare(number, image)
        record = await self._decoding(lambda: make_record(wanted, image, self._segmenter))
        await _in_thread(lambda: self._store.put(image, record))
        return JSONResponse(shown(record))

    async def change_object(self, number: int, identifier: str, request: Request) -> Response:
        """Give an object another category or verdict."""
        body = await _json(request)
        image = await self._open(number)
        changes: dict[str, Any] = {}
        if "category" in body:
            changes["category"] = parse_category(body["category"])
        if "verdict" in body:
            changes["verdict"] = parse_verdict(body["verdict"])
        record = await _in_thread(lambda: self._store.change(image, identifier, changes))
        return JSONResponse(shown(record))

    async def delete_object(self, number: int, identifier: str) -> Response:
        """Remove an object."""
        image = await self._open(number)
        await _in_thread(lambda: self._store.remove(image, identifier))
        return Response(status_code=204)

    async def _open(self, number: int) -> OpenImage:
        if number >= len(self._shelf.images):
            raise AnnotateError(f"there is no image {number}", 404)
        kept = self._shelf.kept(number)
        return kept if kept is not None else await _in_thread(lambda: self._shelf.get(number))

    async def _prepare(self, number: int, image: OpenImage) -> float:
        """Embed an image once, however many ask for it; seconds that it took.

        A prompt on a prepared image does not wait for the embedding of the next one.
        """
        if self._segmenter.is_prepared(image):
            return 0.0
        if number not in self._under_way:

            def prepare() -> float:
                started = time.perf_counter()
                self._segmenter.prepare(image)
                self._last_seconds = time.perf_counter() - started
                return self._last_seconds

            future = asyncio.ensure_future(self._embedding(prepare))
            self._under_way[number] = future
            future.add_done_callback(lambda _: self._under_way.pop(number, None))
        return await asyncio.shield(self._under_way[number])


async def _in_thread(work: Callable[[], Result]) -> Result:
    return await asyncio.to_thread(work)


async def _json(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BODY_BYTES:
            raise AnnotateError(f"a request has at most {_MOST_BODY_BYTES} bytes", 413)
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise AnnotateError("expected JSON", 400) from error
    if not isinstance(content, dict):
        raise AnnotateError("expected one JSON object", 400)
    return content


def _refused(_request: Request, error: Exception) -> Response:
    explained = as_operator_error(error)
    if isinstance(error, AnnotateError):
        status = error.status
    elif isinstance(error, ClaimLostError):
        status = 503  # the change waits in the browser for whoever claims the output next
    elif isinstance(error, SamError):
        status = 422 if error.callers_fault else 500
    else:  # of another server, or of the storage
        status = 422 if explained.exit_code == CALLER else 502
    return JSONResponse({"error": str(explained), "hint": explained.hint}, status)


def _failed(_request: Request, error: Exception) -> Response:
    explained = as_operator_error(error)  # the terminal shows the traceback
    return JSONResponse({"error": str(explained), "hint": "the terminal has the details"}, 500)
