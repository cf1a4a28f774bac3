"""Replies of a model server: their masks, and the messages of their errors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from scripts.terminal.errors import CLOUD, OperatorError
from serving.sam.masks import MaskRecord, decode_mask, mask_area, mask_box_xywh
from serving.sam.prompts import Prompt

_HINTS = {404: "a model server predicts at an address that ends in /predict; is it one?"}


def mask_records(prediction: dict[str, Any], prompts: Sequence[Prompt]) -> list[MaskRecord]:
    """The masks of a prediction as records: the best candidate of each object.

    Args:
        prediction: one of a reply's ``predictions``, with ``mask_format`` rle.
        prompts: the prompts of its instance; none for automatic masks.

    Raises:
        OperatorError: the prediction is an error, or of another form.
    """
    if "error" in prediction:
        raise OperatorError(
            str(prediction["error"].get("message", prediction["error"])),
            hint="the message says what to change",
        )
    if not prompts:
        return list(prediction["masks"])
    masks, scores = prediction["masks"], prediction["scores"]
    if scores and not isinstance(scores[0], list):
        masks, scores = [masks], [scores]
    records: list[MaskRecord] = []
    for prompt, candidates, ratings in zip(prompts, masks, scores, strict=True):
        best = max(range(len(ratings)), key=lambda index: float(ratings[index]))
        rle = {
            "size": [int(n) for n in candidates[best]["size"]],
            "counts": candidates[best]["counts"],
        }
        height, width = rle["size"]
        record: MaskRecord = {
            "segmentation": rle,  # type: ignore[typeddict-item]
            "area": mask_area(rle),  # type: ignore[arg-type]
            "bbox": mask_box_xywh(decode_mask(rle)),  # type: ignore[arg-type]
            "predicted_iou": float(ratings[best]),
            "point_coords": [list(point) for point in prompt.points],
            "crop_box": [0.0, 0.0, float(width), float(height)],
            "prompt": prompt.to_json(),
        }
        if prompt.category:
            record["category"] = prompt.category
        records.append(record)
    return records


def check_reply(status: int, text: str) -> dict[str, Any]:
    """Return a reply's JSON.

    Raises:
        OperatorError: the server refuses the request, with the server's own message.
    """
    try:
        content: dict[str, Any] = json.loads(text)
    except ValueError:
        content = {}
    if status == 200 and "predictions" in content:
        return content
    message = text[:500]
    error = content.get("error")
    if isinstance(error, dict):
        message = str(error.get("message", message))
    raise OperatorError(
        f"the server answers {status}: {message}",
        hint=_HINTS.get(status)
        or ("the message says what to change" if status < 500 else "try again later"),
        exit_code=2 if 400 <= status < 500 and status != 429 else CLOUD,
    )


def innermost_message(text: str) -> str:
    """The model server's own message in an error that the endpoint and the SDK have wrapped."""
    start = text.find("{")
    while start >= 0:
        try:
            content, _ = json.JSONDecoder().raw_decode(text, start)
        except ValueError:
            start = text.find("{", start + 1)
            continue
        error = content.get("error") if isinstance(content, dict) else None
        if isinstance(error, dict) and isinstance(error.get("message"), str):
            return innermost_message(error["message"])
        break
    return text
