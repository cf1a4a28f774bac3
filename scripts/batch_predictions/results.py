"""What a Vertex batch prediction leaves, under either of the names the service gives its files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from pipeline.run.manifest import PlannedImage
from pipeline.shard.image_outputs import draw_pictures, masks_content, write_masks, write_pictures
from scripts.batch_predictions.input_lines import line_key
from scripts.online_predictions.requests import records_of
from scripts.terminal.errors import OperatorError
from serving.sam.errors import ImageError
from serving.sam.images import decode_image
from serving.sam.masks import MaskRecord
from serving.sam.prompts import Prompt
from serving.storage import Folder, StorageError, open_folder

# prediction.results-00000-of-00002 (the guide) or predictions_0001.jsonl (the API's reference)
RESULTS = re.compile(r"(.*/)?(prediction\.results-\d+-of-\d+|predictions_\d+\.jsonl)")
SHARD = "batch"  # what manifest rows call it
ERRORS = re.compile(r"(.*/)?(prediction\.errors_stats-\d+-of-\d+|errors_\d+\.jsonl)")


def read_results(folder: Folder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every line's key and its prediction; a failed one is ``{"error": {...}}``.

    How many files there are is not fixed, and neither is their order.
    """
    for file in folder.files():
        if not (RESULTS.fullmatch(file.name) or ERRORS.fullmatch(file.name)):
            continue
        for line in folder.read_bytes(file.name).splitlines():
            if not line.strip():
                continue
            row = json.loads(line)
            instance = row.get("instance")
            if isinstance(instance, dict):
                error = {"error": row.get("error", {"message": "no prediction"})}
                yield line_key(instance), row.get("prediction") or error


def merge_records(
    lines: list[tuple[tuple[int, ...], dict[str, Any] | None]], prompts: tuple[Prompt, ...]
) -> list[MaskRecord]:
    """The masks of one image from the predictions of its lines, in the order of its prompts.

    Raises:
        OperatorError: a prediction is missing or an error.
    """
    found: dict[int, MaskRecord] = {}
    for objects, prediction in lines:
        if prediction is None:
            raise OperatorError("the batch prediction has no result for it", hint="run again")
        records = records_of(prediction, [prompts[number] for number in objects])
        if not objects:
            return records
        found |= dict(zip(objects, records, strict=True))
    return [found[number] for number in sorted(found)]


def write_image(
    output: Folder,
    planned: PlannedImage,
    records: list[MaskRecord],
    *,
    model: dict[str, str],
    max_masks: int,
    automatic: dict[str, Any],
) -> dict[str, Any]:
    """Write an image's masks and pictures as a run does, masks last; returns the masks' content.

    Raises:
        ImageError: the image cannot be read here.
    """
    try:
        data = open_folder(planned.folder).read_bytes(planned.file)
    except StorageError as error:
        raise ImageError(f"{planned.name}: cannot be read ({error})") from error
    pixels = decode_image(data, planned.name)
    for record in records:
        record.setdefault("stability_score", None)  # type: ignore[typeddict-item]
    about = {
        "settings": {} if planned.prompts else automatic,
        "checkpoint": model,
        "precision": "",
        "device": "vertex batch prediction",
        "shard": SHARD,
        "seconds": {},
    }
    content = masks_content(planned, pixels, records, max_masks, about)
    write_pictures(output, planned, draw_pictures(planned, pixels, records, max_masks))
    write_masks(output, planned, content)
    return content
