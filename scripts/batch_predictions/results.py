"""The results of a Vertex batch prediction, read and written as a run's output."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.run.manifest import PlannedImage
from pipeline.shard.image_outputs import (
    done_row,
    draw_pictures,
    failed_row,
    masks_content,
    write_masks,
    write_pictures,
)
from scripts.batch_predictions.input_lines import Line, line_key
from scripts.online_predictions.replies import mask_records
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import meter
from serving.sam.errors import ImageError
from serving.sam.images import decode_image
from serving.sam.masks import MaskRecord
from serving.sam.prompts import Prompt, parse_prompt
from serving.storage import Folder, StorageError, open_folder

# The guide names prediction.results-00000-of-00002, the API's reference predictions_0001.jsonl.
RESULTS = re.compile(r"(.*/)?(prediction\.results-\d+-of-\d+|predictions_\d+\.jsonl)")
ERRORS = re.compile(r"(.*/)?(prediction\.errors_stats-\d+-of-\d+|errors_\d+\.jsonl)")
SHARD = "batch"  # the shard that the manifest's rows name


def read_results(folder: Folder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every line's key and its prediction; a failed line's is ``{"error": {...}}``.

    The service chooses how many files it writes and in which order the lines are.
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
    by_object: dict[int, MaskRecord] = {}
    for objects, prediction in lines:
        if prediction is None:
            raise OperatorError("the batch prediction has no result for it", hint="run again")
        records = mask_records(prediction, [prompts[number] for number in objects])
        if not objects:
            return records
        by_object |= dict(zip(objects, records, strict=True))
    return [by_object[number] for number in sorted(by_object)]


def write_image(
    output: Folder,
    planned: PlannedImage,
    records: list[MaskRecord],
    *,
    model: dict[str, str],
    max_masks: int,
    automatic: dict[str, Any],
) -> dict[str, Any]:
    """Write an image's masks and pictures as a run does, masks last; return the masks' content.

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


def write_images(
    output: Folder,
    images: Sequence[PlannedImage],
    lines: Sequence[Line],
    predictions: Mapping[str, dict[str, Any]],
    *,
    model: dict[str, str],
    max_masks: int,
    automatic: dict[str, Any],
) -> list[str]:
    """Write masks and pictures of every image that has lines; return their manifest rows.

    Args:
        output: the run's output.
        images: the images as planned.
        lines: the job's input.
        predictions: the job's results by :func:`line_key`.
        model: ``name`` and ``sha256`` of what computed the masks.
        max_masks: how many segments the reports show of an image.
        automatic: settings of the images without prompts.
    """
    by_image: dict[str, list[Line]] = {}
    for line in lines:
        by_image.setdefault(line.image, []).append(line)
    rows = []
    with meter("collecting") as bar:
        for number, image in enumerate(images):
            image_lines = by_image.get(image.name)
            if not image_lines:
                continue
            prompts = tuple(parse_prompt(form, image.name) for form in image.prompts)
            answers = [
                (line.objects, predictions.get(line_key(line.instance))) for line in image_lines
            ]
            try:
                content = write_image(
                    output,
                    image,
                    merge_records(answers, prompts),
                    model=model,
                    max_masks=max_masks,
                    automatic=automatic,
                )
                rows.append(done_row(image, content).to_line())
            except (OperatorError, ImageError) as error:
                rows.append(failed_row(image, str(error), SHARD).to_line())
            bar.update(number + 1, len(images))
    return rows
