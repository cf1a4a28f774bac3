"""The container's settings: ``AIP_*`` as Vertex sets them, ``SERVING_*`` as the release sets them.

The contract of the ``AIP_*`` variables:
https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self, cast

from serving.errors import ArtifactsError
from serving.sam.images import MAX_PIXELS
from serving.sam.machine.devices import PRECISIONS, Precision

PREFIX = "SERVING_"
# What an endpoint adds to a reply, and how it writes it again, is not documented; protobuf's JSON
# may escape each < and > of an RLE by six characters. UNVERIFIED, so a reply keeps away.
REPLY_MARGIN = 0.8

# Vertex AI gives up on a request of a batch prediction after 600 s: its own statistics of errors
# say "504 (upstream request timeout) from server, retry=3, elapsed=600.04s" ("Troubleshoot Vertex
# AI", batch prediction). A tenth is the way there and back.
BATCH_REQUEST_SECONDS = 600.0
BATCH_SECONDS = 0.9 * BATCH_REQUEST_SECONDS
BATCH_BYTES = 250_000_000
BATCH = ("auto", "on", "off")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings:
    """Limits and choices of one model server; each field is the variable ``SERVING_<FIELD>``.

    Attributes:
        checkpoint: file name of the checkpoint, where the artifacts hold several.
        family: of the checkpoint's network, where its weights do not say; see docs/checkpoints.md.
        device: ``auto``, ``cpu`` or ``cuda``.
        accelerator: that the machine has; the server does not start without it. By default what
            Vertex says in ``AIP_ACCELERATOR_TYPE``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        max_body_bytes: largest request body.
        max_image_bytes: largest image file that the server reads from a bucket.
        max_pixels: largest image, decoded.
        max_request_pixels: most pixels that all images of a request have together.
        max_instances: most instances in a request.
        max_objects: most prompted objects in an instance.
        max_output_bytes: most that a request writes to its ``output_uri``, as far as it can be
            foreseen.
        reply_limit_bytes: largest reply that the endpoint passes on: 1.5 MB shared, 10 MB else.
        timeout_seconds: how long the endpoint waits; what is not ready by then is given up. In a
            batch prediction it counts from the moment when a request is computed.
        max_waiting: requests in hand, computing or waiting; one more is answered 429.
        batch: ``on`` in a batch prediction, ``off`` behind an endpoint; ``auto``: as Vertex's
            variables say. See ``for_batch``.
        embedding_cache_bytes: memory for embeddings of recently prompted images; 0: none.
        read_prefixes: ``gs://`` folders that ``image_uri`` may name, comma-separated.
        write_prefixes: ``gs://`` folders that ``output_uri`` may name, comma-separated.
    """

    checkpoint: str = ""
    family: str = ""
    device: str = "auto"
    accelerator: str = ""
    precision: Precision = "auto"
    max_body_bytes: int = 10_000_000
    max_image_bytes: int = 100_000_000
    max_pixels: int = MAX_PIXELS
    max_request_pixels: int = 1_000_000_000
    max_instances: int = 64
    max_objects: int = 256
    max_output_bytes: int = 200_000_000
    reply_limit_bytes: int = 10_000_000
    timeout_seconds: float = 60.0
    max_waiting: int = 16
    batch: str = "off"
    embedding_cache_bytes: int = 512 << 20
    read_prefixes: tuple[str, ...] = ()
    write_prefixes: tuple[str, ...] = ()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the ``SERVING_*`` variables.

        Raises:
            ArtifactsError: a variable that does not exist, or a value of the wrong kind.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        values: dict[str, object] = {"accelerator": environ.get("AIP_ACCELERATOR_TYPE", "")}
        for name, text in environ.items():
            if not name.startswith(PREFIX):
                continue
            key = name.removeprefix(PREFIX).lower()
            if key not in fields:
                known = ", ".join(PREFIX + field.upper() for field in fields)
                raise ArtifactsError(f"{name}: there is no such setting; settings are {known}")
            default = fields[key].default
            try:
                values[key] = _convert(text, default)
            except ValueError as error:
                raise ArtifactsError(f"{name}: {error}, got {text!r}") from error
        values["batch"] = _batch(str(values.get("batch", "auto")), environ)
        settings = cls(**cast("dict[str, Any]", values))
        if settings.precision not in PRECISIONS:
            raise ArtifactsError(
                f"SERVING_PRECISION: expected one of {', '.join(PRECISIONS)}, "
                f"got {settings.precision!r}"
            )
        return settings.for_batch() if settings.in_batch else settings

    @property
    def in_batch(self) -> bool:
        """Whether the requests come from a batch prediction job."""
        return self.batch == "on"

    def for_batch(self) -> Self:
        """These settings with the limits of a batch prediction, where nobody waits at an endpoint.

        Such a job sends a request for as many instances as its batch size says, waits ten minutes
        for the reply (``BATCH_REQUEST_SECONDS``) and asks three times; its replies have no limit of
        size that is known. Its requests are never refused for being many: they wait until there is
        room, and their time begins when they are computed. How many of them a job sends to a
        machine at once is UNVERIFIED; the more, the longer the last ones wait of Vertex AI's time.
        """
        return dataclasses.replace(
            self,
            timeout_seconds=max(self.timeout_seconds, BATCH_SECONDS),
            max_body_bytes=max(self.max_body_bytes, BATCH_BYTES),
            reply_limit_bytes=max(self.reply_limit_bytes, BATCH_BYTES),
        )

    @property
    def largest_reply_bytes(self) -> int:
        """The largest reply that the server sends: the endpoint's limit less a margin."""
        return int(self.reply_limit_bytes * REPLY_MARGIN)


def _batch(text: str, environ: Mapping[str, str]) -> str:
    """Whether a batch prediction asks: ``on`` or ``off``.

    On Vertex AI the container of an endpoint has ``AIP_ENDPOINT_ID`` ("Custom container
    requirements for prediction"); that the container of a batch job lacks it is UNVERIFIED. Batch
    jobs of this project also ask for ``"on_error": "each"``, which does not depend on it.
    """
    if text not in BATCH:
        raise ArtifactsError(f"SERVING_BATCH: expected one of {', '.join(BATCH)}, got {text!r}")
    if text != "auto":
        return text
    on_vertex = bool(environ.get("AIP_MODE") == "PREDICTION" and environ.get("AIP_MACHINE_TYPE"))
    return "on" if on_vertex and not environ.get("AIP_ENDPOINT_ID") else "off"


def _convert(text: str, default: object) -> object:
    if isinstance(default, tuple):
        prefixes = tuple(part.strip().rstrip("/") + "/" for part in text.split(",") if part.strip())
        for prefix in prefixes:
            if not prefix.startswith("gs://") or prefix == "gs:///":
                raise ValueError("expected gs://bucket/folder, commas between several")
        return prefixes
    if isinstance(default, int | float):
        try:
            number = type(default)(text)
        except ValueError as error:
            raise ValueError("expected a number") from error
        if not 0 <= number < 1e15:
            raise ValueError("expected a number from 0")
        return number
    return text
