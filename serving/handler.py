"""HTTP in and out: prediction off the event loop, one at a time, within the endpoint's time.

The SDK's own handler predicts inside the event loop, so that health checks wait meanwhile. Here a
few threads decode images, one thread computes, and the loop stays free. A bounded number of
requests is in hand; one more is told to come back, or waits if a batch prediction sends it.
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
from serving.log_lines import trace_of
from serving.predictor import SegmentationPredictor
from serving.sam.machine.accelerator import is_lost_device
from serving.work import Work

log = logging.getLogger("serving")
DECODING_THREADS = 2
MAX_PREPARED = 4  # requests that may be prepared and wait for the thread that computes
# Of the endpoint's time, what the reply needs on its way back: this share, but so many seconds.
REPLY_SHARE, REPLY_SECONDS = 0.1, 2.0


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
        failure: why it cannot serve: what loading raised, or the loss of the accelerator.
        on_failure: the handler calls it then.
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
        self._places = asyncio.Semaphore(self.predictor.settings.max_waiting)
        self._prepared = asyncio.Semaphore(MAX_PREPARED)
        self._computer = concurrent.futures.ThreadPoolExecutor(1, "compute")
        self._helpers = concurrent.futures.ThreadPoolExecutor(DECODING_THREADS, "images")
        threading.Thread(target=self._load, args=(artifacts_uri,), name="load", daemon=True).start()

    def _load(self, artifacts_uri: str) -> None:
        try:
            # In the thread that computes later: it reuses the memory that loading allocated.
            self._computer.submit(self.predictor.load, artifacts_uri).result()
            self.ready = True
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """End the server: it has no model, or its accelerator is lost to this process.

        A server that stayed would be healthy and answer every request with 500. Vertex AI starts a
        container that ended again, UNVERIFIED.
        """
        self.ready = False
        self.failure = error
        log.critical("cannot serve: %s: %s", type(error).__name__, error)
        self.on_failure()

    async def handle(self, request: Request) -> Response:
        """Answer one prediction request; never raises for what a client sends."""
        started = time.monotonic()
        request_id = uuid.uuid4().hex[:12]
        headers: dict[str, str] = {}
        note = ""
        instances = 0
        try:
            content, instances = await self._answer(request, started)
            status = 200
        except Refusal as error:
            status, headers = error.status_code, dict(error.headers or {})
            content = orjson.dumps(error_body(status, error.message))
            note = error.message[:200]
        except Exception as error:
            status = 500
            if is_lost_device(error):
                self._give_up(error)
            log.exception(
                "request=%s failed", request_id, extra={"trace": trace_of(request.headers)}
            )
            message = f"internal error; the server's log has it under request={request_id}"
            content = orjson.dumps(error_body(500, message))
        self.counters.replies[status] = self.counters.replies.get(status, 0) + 1
        cache = self.predictor.cache
        values = {
            "request": request_id,
            "status": status,
            "seconds": round(time.monotonic() - started, 3),
            "reply_bytes": len(content),
            "instances": instances,
            "cache_hits": cache.hits,
            "cache_misses": cache.misses,
        }
        log.log(
            logging.WARNING if status >= 500 else logging.INFO,
            "%s %s",
            " ".join(f"{name}={value}" for name, value in values.items()),
            note,
            extra={"values": {"event": "request", **values}, "trace": trace_of(request.headers)},
        )
        return Response(content, status, headers, media_type="application/json")

    async def _answer(self, request: Request, started: float) -> tuple[bytes, int]:
        """The reply and how many instances it answers."""
        settings = self.predictor.settings
        if not self.ready:
            raise Unavailable("the model is still loading; try again", retry_after_seconds=10)
        if self._places.locked() and not settings.in_batch:
            raise Unavailable(
                f"busy: {settings.max_waiting} requests are in hand; try again later, or add "
                "replicas",
                429,
            )
        async with self._places:
            if settings.in_batch:  # it waited for as long as it had to
                started = time.monotonic()
            deadline = started + self._seconds
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    body = await self._read(request)
            except TimeoutError as error:
                raise RequestError("the body did not arrive in time; send it again", 408) from error
            loop = asyncio.get_running_loop()
            content = await loop.run_in_executor(self._helpers, parse_body, body)
            del body
            try:
                return await self._predict(content, deadline)
            except Refusal as error:
                if not settings.in_batch or not isinstance(content.get("instances"), list):
                    raise
                # A batch prediction would send the request again, and give up many at once.
                return _errors_of_all(content["instances"], error), len(content["instances"])

    @property
    def _seconds(self) -> float:
        """Seconds that a request has until its reply must be on its way."""
        seconds = self.predictor.settings.timeout_seconds
        return seconds - min(REPLY_SECONDS, REPLY_SHARE * seconds)

    async def _predict(self, content: dict[str, Any], deadline: float) -> tuple[bytes, int]:
        loop = asyncio.get_running_loop()
        async with self._prepared:
            work: Work = await loop.run_in_executor(
                self._helpers, self.predictor.preprocess, content
            )
            work.deadline = deadline
            try:
                work = await loop.run_in_executor(self._computer, self._compute, work)
            finally:
                self.predictor.discard(work)
        reply = await loop.run_in_executor(self._helpers, self._finish, work)
        self.counters.instances += len(work.names)
        return reply, len(work.names)

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

    def _compute(self, work: Work) -> Work:
        started = time.monotonic()
        if self.predictor.settings.in_batch:
            # One after the other: what the others took must not become failed rows of this one.
            work.deadline = started + self._seconds
        if started > work.deadline:
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


def _errors_of_all(instances: list[Any], error: Refusal) -> bytes:
    """A reply in which every instance has the error of the request."""
    failed = error_body(error.status_code, error.message)
    predictions = []
    for instance in instances:
        name = instance.get("file_path") if isinstance(instance, dict) else ""
        predictions.append({"file_path": name if isinstance(name, str) else "", **failed})
    return orjson.dumps({"predictions": predictions})


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
