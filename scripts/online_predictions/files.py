"""The files that a single prediction leaves: the request, or masks and overlay."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.local_files import write_whole
from scripts.online_predictions.replies import mask_records
from scripts.online_predictions.requests import RequestedImage
from scripts.terminal.errors import OperatorError
from serving.sam.prompts import Prompt


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PredictionFiles:
    """What a prediction left.

    Attributes:
        scores: the network's own estimate of each mask's IoU, in the order of the file.
        masks: the JSON file that holds them.
        overlay: all masks drawn on the image; ``None`` where the image is in a bucket.
    """

    scores: tuple[float, ...]
    masks: Path
    overlay: Path | None


def write_prediction(
    reply: dict[str, Any], image: RequestedImage, prompts: Sequence[Prompt], folder: Path
) -> PredictionFiles:
    """Write the masks of a reply to a request for one image, and draw them on the image.

    Args:
        reply: the server's, with one prediction.
        image: the image of the request.
        prompts: the prompts of the request.
        folder: receives ``IMAGE.masks.json`` and ``IMAGE.overlay.png``.

    Raises:
        OperatorError: the prediction is an error, or a file cannot be written.
        ImageError: the image cannot be decoded here.
    """
    (prediction,) = reply["predictions"]
    records = mask_records(prediction, prompts)
    masks = folder / f"{image.name}.masks.json"
    write_json(masks, {"image": image.name, "masks": records})
    overlay = None
    if image.data is not None:
        from pipeline.shard.pictures import draw_overlay, encode_png
        from serving.sam.images import decode_image

        overlay = folder / f"{image.name}.overlay.png"
        _write(overlay, encode_png(draw_overlay(decode_image(image.data, image.name), records)))
    scores = tuple(record["predicted_iou"] for record in records)
    return PredictionFiles(scores=scores, masks=masks, overlay=overlay)


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON.

    Raises:
        OperatorError: the file cannot be written.
    """
    _write(path, (json.dumps(content, indent=1) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error}", hint="choose another place") from error
