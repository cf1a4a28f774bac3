"""The input of a Vertex batch prediction: JSON lines in the bucket, each with one image."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.run.input_images import InputImage
from scripts.online_predictions.requests import make_instance
from scripts.terminal.progress import meter
from serving.sam.errors import ImageError
from serving.sam.images import read_size
from serving.sam.prompts import Prompt
from serving.storage import SCHEME, Folder, StorageError

INSTANCES = "instances.jsonl"
INLINE_BYTES = 1_000_000  # of an image file; a larger one is uploaded and named by its URI


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of the input.

    Attributes:
        image: the image's name.
        objects: numbers of the image's prompts that this line holds; none for automatic masks.
        instance: the JSON, without the image's content once it is in the bucket.
    """

    image: str
    objects: tuple[int, ...]
    instance: dict[str, Any]


def is_click(prompt: Prompt) -> bool:
    """Whether a prompt is one point, which is ambiguous: the server offers three masks for it."""
    return len(prompt.points) == 1 and prompt.box_xyxy is None


def input_lines(image: InputImage, job: Folder, readable: Sequence[str]) -> list[Line]:
    """The lines of one image; uploads a large local image beside the input.

    Clicks get lines of their own, because an instance asks for three candidates for all of its
    prompts or for none, and only a click needs them.

    Args:
        image: the image with its prompts.
        job: the job's folder in the bucket.
        readable: ``gs://`` folders that the container may read.

    Raises:
        StorageError: the image cannot be read, or cannot be uploaded.
        ImageError: a file outside these folders is no image.
    """
    data: bytes | None = None
    uri = image.folder.uri_of(image.file)
    if not uri.startswith(tuple(readable)) or not uri.startswith(SCHEME):
        data = image.folder.read_bytes(image.file)
        read_size(data, image.name)  # refuses what is no image before a machine bills for it
        if len(data) > INLINE_BYTES:
            name = f"images/{image.name}"
            job.write_bytes(name, data, "application/octet-stream")
            data, uri = None, job.uri_of(name)
    numbers = range(len(image.prompts))
    clicks = tuple(n for n in numbers if is_click(image.prompts[n]))
    others = tuple(n for n in numbers if n not in clicks)
    lines = []
    for objects in (clicks, others):
        if objects:
            for group in _same_kind(objects, image.prompts):
                chosen = [image.prompts[n] for n in group]
                instance = make_instance(image.name, data, uri, chosen, multimask=objects is clicks)
                lines.append(Line(image.name, group, instance))
    if not image.prompts:
        lines.append(Line(image.name, (), make_instance(image.name, data, uri, ())))
    return lines


def _same_kind(objects: Sequence[int], prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
    """Group objects by kind of prompt: in one instance all have points, or boxes, or both."""
    groups: dict[tuple[bool, bool], list[int]] = {}
    for number in objects:
        prompt = prompts[number]
        groups.setdefault((bool(prompt.points), prompt.box_xyxy is not None), []).append(number)
    return [tuple(group) for group in groups.values()]


def line_key(instance: dict[str, Any]) -> str:
    """A line's key among the results: its instance without the image's content."""
    rest = {name: value for name, value in instance.items() if name != "image"}
    return json.dumps(_plain(rest), sort_keys=True)


def _plain(value: Any) -> Any:
    """The value with floats for all numbers: the service may write 1 as 1.0."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def write_input(
    images: Sequence[InputImage], job: Folder, readable: Sequence[str]
) -> tuple[list[Line], dict[str, str]]:
    """Write the job's input to the bucket.

    Args:
        images: the images with their prompts.
        job: the job's folder in the bucket.
        readable: ``gs://`` folders that the container may read.

    Returns:
        The lines that were written, and the reason for each image, by name, that has none.

    Raises:
        StorageError: the input cannot be written.
    """
    lines: list[Line] = []
    unreadable: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, INSTANCES)
        with path.open("w", encoding="utf-8") as file, meter("preparing") as bar:
            for number, image in enumerate(images):
                try:
                    image_lines = input_lines(image, job, readable)
                except (StorageError, ImageError) as error:
                    unreadable[image.name] = str(error)
                    continue
                for line in image_lines:
                    file.write(json.dumps(line.instance) + "\n")
                    # The content is in the file now and need not stay in memory.
                    rest = {key: value for key, value in line.instance.items() if key != "image"}
                    lines.append(dataclasses.replace(line, instance=rest))
                bar.update(number + 1, len(images))
        if lines:
            job.write_from(INSTANCES, path, "application/jsonl")
    return lines, unreadable
