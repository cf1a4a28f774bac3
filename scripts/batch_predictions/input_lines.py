"""The input of a Vertex batch prediction: JSON lines in the bucket, each naming an image there."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.ordered_map import ordered_map
from pipeline.run.input_images import InputImage
from scripts.online_predictions.requests import make_instance
from scripts.terminal.progress import meter
from serving.sam.errors import ImageError
from serving.sam.images import read_size
from serving.sam.prompts import Prompt
from serving.storage import SCHEME, Folder, StorageError

INSTANCES = "instances.jsonl"
IMAGES = "images"  # what was uploaded for the job, below its folder


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of the input.

    Attributes:
        image: the image's name.
        objects: numbers of the image's prompts that this line holds; none for automatic masks.
        instance: the JSON.
    """

    image: str
    objects: tuple[int, ...]
    instance: dict[str, Any]


def is_click(prompt: Prompt) -> bool:
    """Whether a prompt is one point, which is ambiguous: the server offers three masks for it."""
    return len(prompt.points) == 1 and prompt.box_xyxy is None


def is_readable(image: InputImage, readable: Sequence[str]) -> bool:
    """Whether the container may read an image where it lies.

    Args:
        image: the image.
        readable: ``gs://`` folders that the container may read.
    """
    uri = image.folder.uri_of(image.file)
    return uri.startswith(SCHEME) and uri.startswith(tuple(readable))


def input_lines(image: InputImage, job: Folder, readable: Sequence[str]) -> list[Line]:
    """The lines of one image: always the same, so a later command knows them without the image.

    Clicks get lines of their own, because an instance asks for three candidates for all of its
    prompts or for none, and only a click needs them.

    Args:
        image: the image with its prompts.
        job: the job's folder in the bucket.
        readable: ``gs://`` folders that the container may read.
    """
    uri = image.folder.uri_of(image.file)
    if not is_readable(image, readable):
        uri = job.uri_of(_uploaded_name(image))
    numbers = range(len(image.prompts))
    clicks = tuple(n for n in numbers if is_click(image.prompts[n]))
    others = tuple(n for n in numbers if n not in clicks)
    lines = []
    for objects in (clicks, others):
        if objects:
            for group in _same_kind(objects, image.prompts):
                chosen = [image.prompts[n] for n in group]
                instance = make_instance(image.name, None, uri, chosen, multimask=objects is clicks)
                lines.append(Line(image.name, group, instance))
    if not image.prompts:
        lines.append(Line(image.name, (), make_instance(image.name, None, uri, ())))
    return lines


def _uploaded_name(image: InputImage) -> str:
    return f"{IMAGES}/{image.name}"


def _same_kind(objects: Sequence[int], prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
    """Group objects by kind of prompt: in one instance all have points, or boxes, or both."""
    groups: dict[tuple[bool, bool], list[int]] = {}
    for number in objects:
        prompt = prompts[number]
        groups.setdefault((bool(prompt.points), prompt.box_xyxy is not None), []).append(number)
    return [tuple(group) for group in groups.values()]


def line_key(instance: dict[str, Any]) -> str:
    """A line's key among the results."""
    return json.dumps(_plain(instance), sort_keys=True)


def _plain(value: Any) -> Any:
    """The value with floats for all numbers: the service may write 1 as 1.0."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def upload_images(
    images: Sequence[InputImage],
    digests: Mapping[str, str],
    job: Folder,
    readable: Sequence[str],
) -> dict[str, str]:
    """Upload what the container could not read otherwise; what an earlier try sent stays.

    Args:
        images: the images.
        digests: of their content, by name.
        job: the job's folder in the bucket.
        readable: ``gs://`` folders that the container may read.

    Returns:
        The reason for each image, by name, that cannot be read or is none.

    Raises:
        StorageError: the bucket cannot be listed or written.
    """
    ours = [image for image in images if not is_readable(image, readable)]
    if not ours:
        return {}
    sent = {file.name: file.digest for file in job.files(f"{IMAGES}/")}

    def upload(image: InputImage) -> tuple[str, str]:
        name = _uploaded_name(image)
        if name in sent and sent[name] == digests[image.name]:
            return image.name, ""
        try:
            data = image.folder.read_bytes(image.file)
            read_size(data, image.name)  # refuses what is no image before a machine bills for it
        except (StorageError, ImageError) as error:
            return image.name, str(error)
        job.write_bytes(name, data, "application/octet-stream")
        return image.name, ""

    unreadable: dict[str, str] = {}
    with meter("uploading") as bar:
        for number, (name, reason) in enumerate(ordered_map(upload, ours, job.readers)):
            if reason:
                unreadable[name] = reason
            bar.update(number + 1, len(ours))
    return unreadable


def write_lines(lines: Sequence[Line], job: Folder, without: Collection[str]) -> None:
    """Write the job's input to the bucket.

    Args:
        lines: of all images.
        job: the job's folder in the bucket.
        without: names of the images that get no line.

    Raises:
        StorageError: the input cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="sam-batch-") as folder:
        path = Path(folder, INSTANCES)
        with path.open("w", encoding="utf-8") as file:
            for line in lines:
                if line.image not in without:
                    file.write(json.dumps(line.instance) + "\n")
        job.write_from(INSTANCES, path, "application/jsonl")
