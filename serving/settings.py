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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings:
    """Limits and choices of one model server; each field is the variable ``SERVING_<FIELD>``.

    Attributes:
        checkpoint: file name of the checkpoint, where the artifacts hold several.
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
        timeout_seconds: how long the endpoint waits; the server refuses what takes longer.
        queue_seconds: how much work may wait before the server answers 429.
        embedding_cache_bytes: memory for embeddings of recently prompted images; 0: none.
        read_prefixes: ``gs://`` folders that ``image_uri`` may name, comma-separated.
        write_prefixes: ``gs://`` folders that ``output_uri`` may name, comma-separated.
    """

    checkpoint: str = ""
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
    queue_seconds: float = 60.0
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
        settings = cls(**cast("dict[str, Any]", values))
        if settings.precision not in PRECISIONS:
            raise ArtifactsError(
                f"SERVING_PRECISION: expected one of {', '.join(PRECISIONS)}, "
                f"got {settings.precision!r}"
            )
        return settings

    @property
    def largest_reply_bytes(self) -> int:
        """The largest reply that the server sends: the endpoint's limit less a margin."""
        return int(self.reply_limit_bytes * REPLY_MARGIN)


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
