"""The parameters of a run, validated before anybody computes or pays for anything."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal, get_args

from serving.sam.errors import ParameterError
from serving.sam.families.table import find_family
from serving.sam.known_checkpoints import find_entry
from serving.sam.machine.devices import PRECISIONS, Precision
from serving.sam.sample_window import SampleWindow

MAX_SHARDS = 1000
Pictures = Literal["none", "overlays", "all"]
MOST_WITH_ALL_PICTURES = 1000  # images; above, a run draws overlays only


class RunError(Exception):
    """A run cannot go on because of what its caller asked for; what it has finished stays."""

    callers_fault: ClassVar[bool] = True
    hint: str = "see 'sam-vertex run --help' for what INPUT and --output may be"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        if hint:
            self.hint = hint


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunParameters:
    """One run of the pipeline.

    Attributes:
        inputs: image files and folders, local or ``gs://``.
        output: the folder that receives everything, local or ``gs://``.
        prompts: the prompts file, local or ``gs://``; empty for automatic masks throughout.
        checkpoint: the checkpoint file, local or ``gs://``; the embedded one by its name.
        family: of the checkpoint's network, where its weights do not say; by its name.
        shards: how many shards the plan deals the images out to.
        max_masks: how many segments of an image the report shows; ``masks/`` keeps all masks.
        pictures: ``none``, ``overlays`` (small ones) or ``all`` (the segments alone as well); empty
            for what :meth:`drawn` makes of the number of images.
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``.
        points_per_side: grid of automatic prompts; ``None`` for the checkpoint's own default.
        pred_iou_thresh: lowest predicted IoU; ``None`` likewise.
        stability_score_thresh: lowest stability; ``None`` likewise.
        window: which 16-bit samples are black and white, as :class:`SampleWindow` has it.
        max_failed: how many images may fail in a run that still succeeds: a share (0-1) as a
            float, a count as an int.
        only_failed: compute only the images that failed in an earlier run over the same output.
        device: ``cuda`` where the shards' machines have an accelerator that is paid for, so that
            they must not compute without it; else ``auto``.
        run_id: the run's name in its claim on the output; empty for a local run.
        forecast: the estimate of its time and cost, for the report: ``seconds``, ``usd``,
            ``usd_per_shard_hour``, ``usd_per_run``, ``basis``, ``most_shard_seconds``; empty where
            nobody asked for one.

    Raises:
        ParameterError: a value outside its range.
    """

    inputs: tuple[str, ...]
    output: str
    prompts: str = ""
    checkpoint: str = "vit_tiny"
    family: str = ""
    shards: int = 1
    max_masks: int = 10
    pictures: Pictures | Literal[""] = ""
    precision: Precision = "auto"
    points_per_side: int | None = None
    pred_iou_thresh: float | None = None
    stability_score_thresh: float | None = None
    window: str = ""
    max_failed: float | int = 0.5
    only_failed: bool = False
    device: Literal["auto", "cuda"] = "auto"
    run_id: str = ""
    forecast: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ParameterError("inputs: expected at least one image or folder, got none")
        if not all(uri.strip() for uri in self.inputs):
            raise ParameterError(
                "INPUT is empty",
                hint="is a variable of your shell not set? Name an image or a folder",
            )
        SampleWindow(self.window)
        if self.family and find_family(self.family).needs_boxes and not self.prompts:
            raise ParameterError(
                f"--family {self.family}: trained with boxes alone, so it needs --prompts with a "
                "box for each object"
            )
        for name, low, high in (("shards", 1, MAX_SHARDS), ("max_masks", 1, 100)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ParameterError(f"{_option(name)}: expected {low} to {high}, got {value}")
        if self.pictures not in ("", *get_args(Pictures)):
            raise ParameterError(
                f"--pictures: expected {', '.join(get_args(Pictures))}, got {self.pictures!r}"
            )
        if self.precision not in PRECISIONS:
            raise ParameterError(
                f"precision: expected one of {', '.join(PRECISIONS)}, got {self.precision!r}"
            )
        for name, top in (
            ("points_per_side", 256.0),
            ("pred_iou_thresh", 1.0),
            ("stability_score_thresh", 1.0),
            ("max_failed", 1.0 if isinstance(self.max_failed, float) else 1e9),
        ):
            value = getattr(self, name)
            low = 1 if name == "points_per_side" else 0
            if value is not None and not low <= value <= top:
                expected = f"{low} to {top:g}"
                if name == "max_failed":
                    expected = "a share from 0 to 1 (0.1, 10%) or a count (25)"
                hint = "" if name != "max_failed" else "such as --max-failed 10%"
                raise ParameterError(
                    f"{_option(name)}: expected {expected}, got {value:g}", hint=hint
                )

    def too_many_failed(self, failed: int, images: int) -> bool:
        """Whether more images failed than the run allows."""
        most = self.max_failed * images if isinstance(self.max_failed, float) else self.max_failed
        return failed > most

    def drawn(self, images: int) -> Pictures:
        """Which pictures a run of so many images draws."""
        return self.pictures or ("all" if images <= MOST_WITH_ALL_PICTURES else "overlays")

    def automatic_overrides(self) -> dict[str, Any]:
        """The settings of automatic masks that the caller gave, by name."""
        names = ("points_per_side", "pred_iou_thresh", "stability_score_thresh")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def settings(self, images: int = 0) -> dict[str, Any]:
        """What decides the run's masks and pictures, by option; for ``metrics.json``.

        Args:
            images: how many the run has, which decides its pictures where the caller did not.
        """
        entry = find_entry(PurePosixPath(self.checkpoint).name)
        return {
            "inputs": list(self.inputs),
            "prompts": self.prompts,
            "checkpoint": entry.name if entry is not None else self.checkpoint,
            "family": self.family,
            "precision": self.precision,
            "points_per_side": self.points_per_side,
            "pred_iou_thresh": self.pred_iou_thresh,
            "stability_score_thresh": self.stability_score_thresh,
            "max_masks": self.max_masks,
            "pictures": self.drawn(images),
            "window": self.window,
        }

    def to_json(self) -> str:
        """One JSON object, the form in which the parameters travel through the graph."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunParameters:
        """Read :meth:`to_json` back."""
        values = json.loads(text)
        return cls(**{**values, "inputs": tuple(values["inputs"])})


def _option(name: str) -> str:
    """What an operator calls a parameter."""
    return f"--{name.replace('_', '-')}"


def parse_max_failed(text: str) -> float | int:
    """Read ``--max-failed``: ``0.1`` and ``10%`` are shares, ``25`` is a count.

    Raises:
        ParameterError: it is none of these.
    """
    try:
        if text.endswith("%"):
            return float(text[:-1]) / 100
        return int(text) if text.isdecimal() else float(text)
    except ValueError as error:
        raise ParameterError(
            f"--max-failed: expected a share (0.1, 10%) or a count (25), got {text!r}"
        ) from error


def fingerprint(content: Mapping[str, Any]) -> str:
    """A short digest of everything that decides an image's masks; equal content, equal digest."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
