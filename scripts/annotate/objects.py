"""An object that somebody annotated, as the page asks for it and as a record of a masks file."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np

from scripts.annotate.errors import AnnotateError
from scripts.annotate.masks import Stroke, checked_rle, paint, parse_strokes
from scripts.annotate.segmenters import Segmenter
from scripts.annotate.shelf import OpenImage
from serving.sam.masks import Rle, decode_mask, encode_mask, mask_area, mask_box_xywh
from serving.sam.prompts import Prompt, parse_prompt

Record = dict[str, Any]
VERDICTS = ("accept", "reject", "")
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")
_MOST_CATEGORY_LETTERS = 100


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WantedObject:
    """What the page asks to keep.

    Attributes:
        id: the page's own name for it, so that sending it twice keeps it once.
        prompt: what the network is asked; ``None`` for an object that it is not asked about.
        candidate: which of the prompt's candidates.
        base: a finished mask to start from instead of a prompt.
        scores: SAM's own figures of ``base``.
        strokes: painted on the mask and erased from it.
        category: what it is; empty where nobody said.
        verdict: ``accept``, ``reject``, or empty where nobody judged it.
    """

    id: str
    prompt: Prompt | None
    candidate: int
    base: Rle | None
    scores: dict[str, Any]
    strokes: tuple[Stroke, ...]
    category: str
    verdict: str


def parse_object(identifier: str, body: Any, image: OpenImage) -> WantedObject:
    """Return the object of a request.

    Raises:
        AnnotateError, PromptError: naming the field and what was expected there.
    """
    height, width = image.size_hw
    if not isinstance(body, dict):
        raise AnnotateError("expected one JSON object")
    if not _ID.fullmatch(identifier):
        raise AnnotateError("id: expected up to 40 letters, digits, - and _")
    prompt = parse_prompt(body["prompt"], "prompt") if body.get("prompt") else None
    if prompt is not None:
        prompt.check_inside(width, height, "prompt")
    candidate = body.get("candidate", 0)
    if isinstance(candidate, bool) or candidate not in (0, 1, 2):
        raise AnnotateError("candidate: expected 0, 1 or 2")
    base = body.get("segmentation")
    return WantedObject(
        id=identifier,
        prompt=prompt,
        candidate=int(candidate),
        base=checked_rle(base, height, width) if base is not None else None,
        scores=_scores(body.get("scores") or {}),
        strokes=parse_strokes(body.get("strokes") or []),
        category=parse_category(body.get("category", "")),
        verdict=parse_verdict(body.get("verdict", "accept")),
    )


def parse_category(value: Any) -> str:
    """Return a category without blanks around it; AnnotateError where it is none."""
    if not isinstance(value, str) or len(value) > _MOST_CATEGORY_LETTERS:
        raise AnnotateError(f"category: expected at most {_MOST_CATEGORY_LETTERS} letters")
    category = " ".join(value.split())
    if not category.isprintable():
        raise AnnotateError("category: expected letters that can be shown")
    return category


def parse_verdict(value: Any) -> str:
    """Return ``accept``, ``reject`` or nothing; AnnotateError for anything else."""
    if value not in VERDICTS:
        raise AnnotateError("verdict: expected accept, reject or an empty text")
    return str(value)


def _scores(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise AnnotateError("scores: expected an object")
    kept = {}
    for name in ("predicted_iou", "stability_score"):
        number = value.get(name, 0.0)
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < 10:
            raise AnnotateError(f"scores.{name}: expected a number from 0 on")
        kept[name] = float(number)
    return kept


def make_record(wanted: WantedObject, image: OpenImage, segmenter: Segmenter) -> Record:
    """Compute an object's mask in the image's own pixels and describe it as a run does.

    A mask that somebody drew without the network has ``predicted_iou`` and ``stability_score`` 0.

    Raises:
        AnnotateError: no pixel is left of it.
    """
    height, width = image.size_hw
    scores = {"predicted_iou": 0.0, "stability_score": 0.0}
    if wanted.prompt is not None:
        candidates = segmenter.candidates(image, wanted.prompt, 0)
        chosen = candidates[min(wanted.candidate, len(candidates) - 1)]
        mask = chosen.mask
        scores = {"predicted_iou": chosen.score, "stability_score": chosen.stability}
    elif wanted.base is not None:
        mask, scores = decode_mask(wanted.base), wanted.scores or scores
    else:
        mask = np.zeros((height, width), np.bool_)
    if wanted.strokes:
        mask = paint(mask, wanted.strokes)
    segmentation = encode_mask(mask)
    area = mask_area(segmentation)
    if not area:
        raise AnnotateError("the mask is empty: click or paint something first")
    prompt = wanted.prompt
    record: Record = {
        "id": wanted.id,
        "segmentation": segmentation,
        "area": area,
        "bbox": mask_box_xywh(mask),
        **scores,
        "point_coords": [list(point) for point in prompt.points] if prompt else [],
        "crop_box": [0.0, 0.0, float(width), float(height)],
    }
    if wanted.verdict:
        record["verdict"] = wanted.verdict
    if prompt is not None:
        record["prompt"] = prompt.to_json()
        record["candidate"] = wanted.candidate
    if wanted.strokes:
        record["strokes"] = [stroke.to_json() for stroke in wanted.strokes]
    if wanted.category:
        record["category"] = wanted.category
    return record


def prompt_form(record: Record, width: int, height: int) -> dict[str, Any]:
    """The prompt that stands for a record in a prompts file: its own, or else its box."""
    form: dict[str, Any] = {
        key: record["prompt"][key] for key in ("points", "labels", "box")
        if key in record.get("prompt", {})
    }  # fmt: skip
    if not form:
        left, top, box_width, box_height = record["bbox"]
        # A box of a record is the distance between the outermost pixels.
        right, bottom = min(left + box_width + 1, width), min(top + box_height + 1, height)
        form["box"] = [left, top, right, bottom]
    if record.get("category"):
        form["category"] = record["category"]
    return form


def shown(record: Record) -> Record:
    """An object as the page sees it."""
    kept = ("id", "segmentation", "area", "bbox", "predicted_iou", "stability_score", "prompt",
            "candidate", "strokes", "verdict")  # fmt: skip
    return {key: record[key] for key in kept if key in record} | {
        "category": record.get("category", ""),
    }
