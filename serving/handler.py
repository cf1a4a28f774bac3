"""HTTP in and out: prediction off the event loop, one at a time, within the endpoint's time.

The SDK's own handler predicts inside the event loop, so that health checks wait meanwhile. Here a
few threads decode images, one thread computes, and the loop stays free.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson
from fastapi import Request, Response
from google.cloud.aiplatform.prediction.handler import Handler

from serving.contract import parse_body
from serving.errors import Refusal, RequestError, Unavailable, error_body
from serving.predictor import SegmentationPredictor
from serving.work import Work

log = logging.getLogger("serving")
DECODING_THREADS = 2
MAX_DECODED = 4  # requests whose decoded images may be in memory at a time


@dataclasses.dataclass(slots=True)
class Counters:
    """Totals of this server since it started."""

    replies: dict[int, int] = dataclasses.field(default_factory=dict)
    instances: int = 0
    computing_seconds: float = 0.0


class SegmentationHandler(Handler):
    """Loads the model while the port is already open, then answers requests.

    Attributes:
        ready: whether the model is loaded.
        failure: the exception that loading raised.
        on_failure: the handler calls it once when loading fails.
        counters: totals for ``/metrics``.
    """

    def __init__(
        self, artifacts_uri: str, predictor: type[SegmentationPredictor] | None = None
    ) -> None:
        self.predictor = (predictor or SegmentationPredictor)()
        self.ready = False
        self.failure: Exception | None = None
        self.on_failure: Callable[[], None] = lambda: None
        self.counters = Counters()
        self._waiting_seconds = 0.0
        self._decoded = asyncio.Semaphore(MAX_DECODED)
        self._computer = concurrent.futures.ThreadPoolExecutor(1, "compute")
        self._helpers = concurrent.futures.ThreadPoolExecutor(DECODING_THREADS, "images")
        threading.Thread(target=self._load, args=(artifacts_uri,), name="load", daemon=True).start()

    def _load(self, artifacts_uri: str) -> None:
        try:
            # In the thread that computes later: it reuses the memory that loading allocated.
            self._computer.submit(self.predictor.load, artifacts_uri).result()
            self.ready = True
        except Exception as error:
            self.failure = error
            log.error("cannot serve: %s: %s", type(error).__name__, error)
            self.on_failure()

    async def handle(self, request: Request) -> Response:
        """Answer one prediction request; never raises for what a client sends."""
        started = time.monotonic()
        request_id = uuid.uuid4().hex[:12]
        headers: dict[str, str] = {}
        note = ""
        try:
            content, note = await self._answer(request, started)
            status = 200
        except Refusal as error:
            status, headers = error.status_code, dict(error.headers or {})
            content = orjson.dumps(error_body(status, error.message))
            note = error.message[:200]
        except Exception:
            status = 500
            log.exception("request=%s failed", request_id)
            message = f"internal error; the server's log has it under request={request_id}"
            content = orjson.dumps(error_body(500, message))
        self.counters.replies[status] = self.counters.replies.get(status, 0) + 1
        cache = self.predictor.cache
        log.info(
            "request=%s status=%d seconds=%.3f reply_bytes=%d cache_hits=%d cache_misses=%d %s",
            request_id,
            status,
            time.monotonic() - started,
            len(content),
            cache.hits,
            cache.misses,
            note,
        )
        return Response(content, status, headers, media_type="application/json")

    async def _answer(self, request: Request, started: float) -> tuple[bytes, str]:
        if not self.ready:
            raise Unavailable("the model is still loading; try again", retry_after_seconds=10)
        body = await self._read(request)
        deadline = started + self.predictor.settings.timeout_seconds
        loop = asyncio.get_running_loop()
        async with self._decoded:
            work: Work = await loop.run_in_executor(self._helpers, self._prepare, body)
            del body
            self._admit(work, deadline)
            self._waiting_seconds += work.seconds
            try:
                work = await loop.run_in_executor(self._computer, self._compute, work, deadline)
            finally:
                self._waiting_seconds -= work.seconds
        content = await loop.run_in_executor(self._helpers, self._finish, work)
        self.counters.instances += len(work.names)
        return content, f"instances={len(work.names)}"

    async def _read(self, request: Request) -> bytes:
        limit = self.predictor.settings.max_body_bytes
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            raise RequestError(f"Content-Type: expected application/json, got {kind[:60]!r}", 415)
        accept = request.headers.get("accept", "*/*")
        if not any(part in accept for part in ("*/*", "application/*", "application/json")):
            raise RequestError(f"Accept: only application/json is made, got {accept[:60]!r}", 400)
        too_large = RequestError(
            f"the body is larger than the limit of {limit} bytes; send fewer instances, smaller "
            "images, or name them by image_uri",
            413,
        )
        declared = request.headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise too_large
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise too_large
        return bytes(body)

    def _prepare(self, body: bytes) -> Work:
        return self.predictor.preprocess(parse_body(body))

    def _admit(self, work: Work, deadline: float) -> None:
        """Refuse at once a request that cannot end before the endpoint stops waiting."""
        left = deadline - time.monotonic()
        limit = self.predictor.settings.timeout_seconds
        if work.seconds > limit:
            raise RequestError(
                f"this request takes about {work.seconds:.0f} s here, and the endpoint waits "
                f"{limit:.0f} s; send fewer instances or objects, fewer points_per_side, or use a "
                "batch prediction",
                422,
            )
        waiting = self._waiting_seconds
        if waiting + work.seconds > min(left, self.predictor.settings.queue_seconds + work.seconds):
            raise Unavailable(
                f"busy: {waiting:.0f} s of work are waiting; try again later, or add replicas",
                429,
                max(1, int(waiting)),
            )

    def _compute(self, work: Work, deadline: float) -> Work:
        started = time.monotonic()
        if started > deadline:
            raise Unavailable("the request waited longer than the endpoint does; try again", 503)
        work = self.predictor.predict(work)
        self.counters.computing_seconds += time.monotonic() - started
        return work

    def _finish(self, work: Work) -> bytes:
        content = orjson.dumps(self.predictor.postprocess(work), option=orjson.OPT_SERIALIZE_NUMPY)
        limit = self.predictor.settings.largest_reply_bytes
        if len(content) > limit:
            raise RequestError(
                f"the reply has {len(content)} bytes, more than the {limit} that this endpoint "
                "surely passes on; " + _smaller(work),
                422,
            )
        return content


def _smaller(work: Work) -> str:
    """Ways to a smaller reply, for the message of the refusal."""
    ways: list[str] = []
    if len(work.names) > 1:
        ways.append("send fewer instances")
    if work.parameters.mask_format != "rle":
        ways.append('ask for "mask_format": "rle"')
    if work.parameters.return_logits and any(not isinstance(o, list) for o in work.outcomes):
        ways.append('set "return_logits": false')
    if any(isinstance(outcome, list) for outcome in work.outcomes):
        ways.append("ask for fewer max_masks")
    return ", ".join([*ways, "or name an output_uri"])


def metrics(handler: SegmentationHandler) -> str:
    """Counters in the text form of Prometheus."""
    cache, counters = handler.predictor.cache, handler.counters
    rows: list[tuple[str, Any]] = [
        ("sam_ready", int(handler.ready)),
        ("sam_instances_total", counters.instances),
        ("sam_computing_seconds_total", round(counters.computing_seconds, 3)),
        ("sam_embedding_cache_hits_total", cache.hits),
        ("sam_embedding_cache_misses_total", cache.misses),
        ("sam_embedding_cache_bytes", cache.size_bytes),
        ("sam_embedding_cache_images", len(cache)),
    ]
    rows += [
        (f'sam_replies_total{{code="{code}"}}', count)
        for code, count in sorted(counters.replies.items())
    ]
    return "".join(f"{name} {value}\n" for name, value in rows)
