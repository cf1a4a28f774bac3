"""Checks of the endpoint and the model version that it serves."""

from __future__ import annotations

import re

from infra.checks.requirement import check_machine, require
from infra.settings import Settings


def check_endpoint(settings: Settings) -> None:
    """Check the machine, the replicas, the kind of endpoint, and the image with its checkpoint."""
    check_machine(settings, "serving_machine", "serving_accelerator")
    require(
        re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9]\d{0,8}", settings.endpoint_name),
        "endpoint_id",
        f"expected a letter-first slug or 1-9 digits, got {settings.endpoint_name!r}",
        "ids are stable: changing one replaces the endpoint",
    )
    require(
        settings.max_replicas >= settings.min_replicas,
        "max_replicas",
        f"{settings.max_replicas} is below SAM_MIN_REPLICAS={settings.min_replicas}",
        "raise it, or lower the other",
    )
    require(
        not settings.request_logging
        or re.fullmatch(r"bq://[\w-]+(\.\w+(\.\w+)?)?", settings.request_logging),
        "request_logging",
        f"expected bq://project.dataset.table, got {settings.request_logging!r}",
        "the dataset exists, the table does not",
    )
    require(
        bool(settings.image) == bool(settings.checkpoint),
        "checkpoint" if settings.image else "image",
        "SAM_IMAGE and SAM_CHECKPOINT go together",
        "a model version is one image with one checkpoint",
    )
    host = re.escape(settings.region) + r"-docker\.pkg\.dev/"
    require(
        not settings.image or re.match(host + r".+@sha256:[0-9a-f]{64}$", settings.image),
        "image",
        f"expected {settings.region}-docker.pkg.dev/...@sha256:..., got {settings.image!r}",
        "name the image by digest, in a repository of SAM_REGION",
    )
    require(
        not settings.checkpoint
        or re.fullmatch(r"gs://[a-z0-9][\w.-]+/[\w./-]+", settings.checkpoint),
        "checkpoint",
        f"expected gs://bucket/folder or a file there, got {settings.checkpoint!r}",
        "sam-vertex checkpoint upload prints it",
    )
    require(
        not (
            settings.serving_precision == "bf16"
            and settings.serving_accelerator == "NVIDIA_TESLA_T4"
        ),
        "serving_precision",
        "bf16 is not computed by a T4",
        "leave it at auto, or choose fp16 or fp32",
    )
