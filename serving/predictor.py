"""The four methods of a Vertex Custom Prediction Routine around the engine.

A handler calls ``load``, ``preprocess``, ``predict`` and ``postprocess``. Ours calls them from
different threads, so the predictor keeps nothing of a request
(https://cloud.google.com/vertex-ai/docs/predictions/custom-prediction-routines).
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
import uuid
from importlib.metadata import version
from typing import Any

import numpy as np
import orjson
from google.cloud.aiplatform.prediction.predictor import Predictor

from serving.artifacts import checkpoint_file
from serving.contract import Instance, Request, parse_request
from serving.decoded_pixels import DecodedPixels
from serving.embedding_cache import EmbeddingCache
from serving.errors import Refusal, RequestError, error_body
from serving.object_access import write_object
from serving.preparation import prepare_instance
from serving.request_budget import RequestBudget
from serving.sam.embedding import Embedding
from serving.sam.engine import Engine
from serving.sam.errors import InputError, NotFiniteError
from serving.sam.machine.accelerator import describe_device, is_lost_device, require_accelerator
from serving.sam.machine.devices import choose_device
from serving.sam.masks import MaskRecord, encode_mask
from serving.settings import ServingSettings
from serving.warm_up import warm_up
from serving.work import (
    Outcome,
    OutOfTime,
    Prepared,
    Prompted,
    Work,
    object_name,
    outcome_as_json,
    refuse_failed,
)

log = logging.getLogger("serving")
NO_LOGITS = np.empty((0, 0, 0), np.float32)


class SegmentationPredictor(Predictor):
    """Segment Anything for one accelerator.

    Attributes:
        settings: limits and choices.
        cache: embeddings of images that clients prompted before.
        room: for images of all requests that are decoded before their turn comes.
        about: checkpoint, precision, device and driver, for logs, health checks and replies.
    """

    def __init__(self, settings: ServingSettings | None = None) -> None:
        self.settings = settings or ServingSettings.from_environ(os.environ)
        self.cache = EmbeddingCache(self.settings.embedding_cache_bytes)
        self.room = DecodedPixels(self.settings.max_pixels)
        self.about: dict[str, str] = {}
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The loaded engine."""
        if self._engine is None:
            raise RuntimeError("load() was not called")
        return self._engine

    def load(self, artifacts_uri: str, **_kwargs: Any) -> None:
        """Load the checkpoint, check the precision, and run every network once.

        Args:
            artifacts_uri: the value of ``AIP_STORAGE_URI``.

        Raises:
            ArtifactsError: the URI holds no usable checkpoint.
            CheckpointError: the checkpoint cannot be used.
            DeviceError: device or precision is not available.
        """
        started = time.monotonic()
        device = choose_device(self.settings.device)
        require_accelerator(self.settings.accelerator, device)
        with checkpoint_file(artifacts_uri, self.settings.checkpoint) as path:
            engine = Engine.load(
                path,
                device=str(device),
                precision=self.settings.precision,
                family=self.settings.family,
            )
        loaded = time.monotonic()
        warm_up(engine)
        self._engine = engine
        self.about = {
            "checkpoint": engine.checkpoint.name,
            "family": engine.checkpoint.family.name,
            "sha256": engine.checkpoint.sha256,
            "precision": engine.precision,
            **describe_device(engine.device),
            "torch": version("torch"),
        }
        log.info(
            "loaded %s load_s=%.1f warm_s=%.1f",
            " ".join(f"{name}={value}" for name, value in self.about.items()),
            loaded - started,
            time.monotonic() - loaded,
        )

    def preprocess(self, prediction_input: dict[str, Any]) -> Work:
        """Check a request, fetch and decode its images.

        Args:
            prediction_input: the request's JSON: ``instances`` and ``parameters``.

        Raises:
            Refusal: the request as a whole, or every instance, is wrong or cannot be served now.
        """
        request: Request = parse_request(prediction_input, self.settings)
        parameters = request.parameters
        given = [
            value.get("file_path") if isinstance(value, dict) else ""
            for value in prediction_input["instances"]
        ]
        names = [name if isinstance(name, str) else "" for name in given]
        work = Work(parameters, names, RequestBudget(self.settings, parameters), [])
        try:
            for instance in request.instances:
                item: Prepared | Instance | Refusal = instance
                if isinstance(instance, Instance):
                    item = self._prepared(instance, work, self.room)
                work.prepared.append(item)
            refuse_failed(work.prepared, parameters)
        except BaseException:
            self.discard(work)
            raise
        return work

    def _prepared(
        self, instance: Instance, work: Work, room: DecodedPixels | None = None
    ) -> Prepared | Instance | Refusal:
        return prepare_instance(
            instance,
            work.parameters,
            checkpoint=self.engine.checkpoint,
            cache=self.cache,
            limits=self.settings,
            budget=work.budget,
            room=room,
        )

    def discard(self, work: Work) -> None:
        """Drop the images of a request that are left, and give back their room."""
        for item in work.prepared:
            if isinstance(item, Prepared):
                self._drop_image(item)

    def _drop_image(self, item: Prepared) -> None:
        item.image = None
        self.room.give(item.reserved)
        item.reserved = 0

    def predict(self, instances: Work) -> Work:
        """Compute the masks of every instance.

        Raises:
            Refusal: every instance failed, or one did and the request says ``fail``.
        """
        try:
            for number, item in enumerate(instances.prepared):
                outcome = self._outcome(item, number, instances)
                instances.outcomes.append(outcome)
                done = instances.prepared[number]
                if isinstance(done, Prepared):
                    self._drop_image(done)  # its memory is the next one's
        finally:
            self.discard(instances)
        refuse_failed(instances.outcomes, instances.parameters)
        return instances

    def _outcome(self, item: Prepared | Instance | Refusal, number: int, work: Work) -> Outcome:
        """What becomes of one instance; whatever fails, the others are computed."""
        field = f"instances[{number}]"
        try:
            work.check_time()
            if isinstance(item, Instance):
                item = work.prepared[number] = self._prepared(item, work)
            if isinstance(item, Instance):
                raise RuntimeError("an instance came back unprepared when it was its turn")
            if isinstance(item, Refusal):
                return item
            outcome = self._segment(item, work)
            if not isinstance(outcome, Prompted) and item.image is not None:
                more = max(len(outcome) - 1, 0)  # than the one that was counted before
                work.budget.take_masks(item.instance.field, more, item.image.size // 3)
            return outcome
        except InputError as error:
            return RequestError(f"{field}: {error}")
        except NotFiniteError as error:
            return Refusal(f"{field}: {error}", 500)
        except OutOfTime:
            return RequestError(
                f"{field}: not ready within the {self.settings.timeout_seconds:g} s that the "
                "endpoint waits; send fewer instances or objects, fewer points_per_side, or use a "
                "batch prediction",
                422,
            )
        except RequestError as error:
            return error
        except Exception as error:
            if is_lost_device(error):
                raise  # the server ends
            incident = uuid.uuid4().hex[:12]
            log.exception("%s failed: incident=%s", field, incident)
            message = f"{field}: internal error; the server's log has it under incident={incident}"
            return Refusal(message, 500)

    def _segment(self, item: Prepared, work: Work) -> Prompted | list[MaskRecord]:
        parameters = work.parameters
        if not item.instance.prompts:
            image = item.image
            if image is None:  # only a prompted instance may lack its image
                raise RuntimeError("an automatic instance has no image")
            records = self.engine.generate(image, item.settings, before_work=work.check_time)
            return records[: parameters.max_masks]
        embedding = item.embedding or self._embed(item)
        outcome = Prompted([], [], [])
        predictions = self.engine.predictions(
            embedding,
            item.instance.prompts,
            multimask_output=item.instance.multimask_output,
            mask_inputs=item.instance.mask_inputs,
        )
        # Predictions come in the order of decoding. Keep of each only what the reply needs.
        kept = {}
        for number, prediction in predictions:
            work.check_time()
            kept[number] = (
                [encode_mask(mask) for mask in prediction.masks],
                [float(score) for score in prediction.scores],
                prediction.logits if parameters.return_logits else NO_LOGITS,
            )
        for number in range(len(item.instance.prompts)):
            masks, scores, logits = kept[number]
            outcome.masks.append(masks)
            outcome.scores.append(scores)
            outcome.logits.append(logits)
        return outcome

    def _embed(self, item: Prepared) -> Embedding:
        """Embed an image, unless another request did while this one waited."""
        earlier = self.cache.peek(item.digest)
        if earlier is not None:
            return earlier
        if item.image is None:
            raise RuntimeError("an instance has neither image nor embedding")
        embedding = self.engine.embed(item.image)
        self.cache.put(item.digest, embedding)
        return embedding

    def _image_id(self, digest: str) -> dict[str, str]:
        """What the next prompt may name the image by, while its embedding is kept."""
        return {} if self.cache.peek(digest) is None else {"image_id": digest}

    def postprocess(self, prediction_results: Work) -> dict[str, Any]:
        """Return the reply: ``predictions``, one per instance, in order; and ``metadata``."""
        work = prediction_results
        predictions: list[dict[str, Any]] = []
        for number, (name, outcome) in enumerate(zip(work.names, work.outcomes, strict=True)):
            if isinstance(outcome, Refusal):
                failed = error_body(outcome.status_code, outcome.message)
                predictions.append({"file_path": name, **failed})
                continue
            item = work.prepared[number]
            several = isinstance(item, Prepared) and item.instance.several
            fields = outcome_as_json(outcome, several, work.parameters)
            prediction: dict[str, Any] = {"file_path": name, **fields}
            if isinstance(outcome, Prompted) and isinstance(item, Prepared):
                prediction |= self._image_id(item.digest)
            if work.parameters.output_uri and isinstance(item, Prepared):
                content = orjson.dumps(prediction)
                # By content: the same request again writes nothing, another overwrites nothing.
                digest = hashlib.sha256(content).hexdigest()[:12]
                uri = work.parameters.output_uri + object_name(number, name, digest)
                write_object(uri, content, f"instances[{number}]")
                prediction = {"file_path": name, "output_uri": uri}
            predictions.append(prediction)
        # The endpoint passes ``metadata`` on (aiplatform_v1.types.PredictResponse).
        return {"predictions": predictions, "metadata": self.about}
