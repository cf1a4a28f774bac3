"""What a run was asked to do, validated before anything is computed or paid for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from serving.sam.engine import PRECISIONS, Precision

MAX_SHARDS = 1000


class ParameterError(ValueError):
    """A parameter of a run is outside its range; the message names it."""


class RunError(Exception):
    """A run cannot go on, through its caller's doing; what was finished stays."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunParameters:
    """One run of the pipeline.

    Attributes:
        inputs: image files and folders, local or ``gs://``.
        output: the folder that receives everything, local or ``gs://``.
        prompts: the prompts file, local or ``gs://``; empty for automatic masks throughout.
        checkpoint: the checkpoint file, local or ``gs://``; the embedded one by its name.
        shards: how many pieces the images are split into.
        max_masks: segments shown for each image in the report; all masks are kept in ``masks/``.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        points_per_side: grid of automatic prompts; ``None`` for the checkpoint's own default.
        pred_iou_thresh: lowest predicted IoU; ``None`` likewise.
        stability_score_thresh: lowest stability; ``None`` likewise.
        max_failed: largest share (0-1) of images that may fail in a run that still succeeds.

    Raises:
        ParameterError: a value outside its range.
    """

    inputs: tuple[str, ...]
    output: str
    prompts: str = ""
    checkpoint: str = "vit_tiny"
    shards: int = 1
    max_masks: int = 10
    precision: Precision = "auto"
    points_per_side: int | None = None
    pred_iou_thresh: float | None = None
    stability_score_thresh: float | None = None
    max_failed: float = 0.5

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ParameterError("inputs: expected at least one image or folder, got none")
        for name, low, high in (("shards", 1, MAX_SHARDS), ("max_masks", 1, 100)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ParameterError(f"{name}: expected {low} to {high}, got {value}")
        if self.precision not in PRECISIONS:
            raise ParameterError(
                f"precision: expected one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        for name, top in (
            ("points_per_side", 256.0),
            ("pred_iou_thresh", 1.0),
            ("stability_score_thresh", 1.0),
            ("max_failed", 1.0),
        ):
            value = getattr(self, name)
            low = 1 if name == "points_per_side" else 0
            if value is not None and not low <= value <= top:
                raise ParameterError(f"{name}: expected {low} to {top:g}, got {value}")

    def automatic_overrides(self) -> dict[str, Any]:
        """The settings of automatic masks that the caller gave, by name."""
        names = ("points_per_side", "pred_iou_thresh", "stability_score_thresh")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def to_json(self) -> str:
        """One JSON object, the form in which the parameters travel through the graph."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunParameters:
        """Read :meth:`to_json` back."""
        values = json.loads(text)
        return cls(**{**values, "inputs": tuple(values["inputs"])})


def fingerprint(content: Mapping[str, Any]) -> str:
    """A short digest of everything that decides an image's masks; equal content, equal digest."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
