"""What a Vertex batch prediction reads: JSON lines in the bucket, one image's prompts each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from pipeline.run.input_images import InputImage
from pipeline.run.manifest import PlannedImage
from scripts.online_predictions.requests import make_instance
from serving.sam.images import read_size
from serving.sam.prompts import Prompt, parse_prompt
from serving.storage import SCHEME, Folder

INLINE_BYTES = 1_000_000  # of an image file; larger ones are uploaded and named


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One line of the input.

    Attributes:
        image: the image's name.
        objects: which of its prompts are asked here, by number; none for automatic masks.
        instance: the JSON.
    """

    image: str
    objects: tuple[int, ...]
    instance: dict[str, Any]


def is_click(prompt: Prompt) -> bool:
    """Whether a prompt is one ambiguous point, for which the best of three masks is taken."""
    return len(prompt.points) == 1 and prompt.box_xyxy is None


def input_lines(image: InputImage, job: Folder, readable: Sequence[str]) -> list[Line]:
    """The lines of one image; large local images are uploaded beside the input.

    Clicks and other prompts are asked in lines of their own: a click gets three candidates, and
    that is said for a whole instance.

    Args:
        image: with its prompts.
        job: the job's folder in the bucket.
        readable: ``gs://`` folders that the container may read.

    Raises:
        StorageError: the image cannot be read, or not uploaded.
        ImageError: it is no image, as far as that can be told without a bucket's content.
    """
    data: bytes | None = None
    uri = image.folder.uri_of(image.file)
    if not uri.startswith(tuple(readable)) or not uri.startswith(SCHEME):
        data = image.folder.read_bytes(image.file)
        read_size(data, image.name)  # what is no image is not sent: machines cost from the start
        if len(data) > INLINE_BYTES:
            name = f"images/{image.name}"
            job.write_bytes(name, data, "application/octet-stream")
            data, uri = None, job.uri_of(name)
    numbers = range(len(image.prompts))
    clicks = tuple(n for n in numbers if is_click(image.prompts[n]))
    others = tuple(n for n in numbers if n not in clicks)
    found = []
    for objects in (clicks, others):
        if objects:
            # An object without points or box has no place in a list of either kind.
            for group in _same_kind(objects, image.prompts):
                chosen = [image.prompts[n] for n in group]
                instance = make_instance(image.name, data, uri, chosen, multimask=objects is clicks)
                found.append(Line(image.name, group, instance))
    if not image.prompts:
        found.append(Line(image.name, (), make_instance(image.name, data, uri, ())))
    return found


def _same_kind(objects: Sequence[int], prompts: Sequence[Prompt]) -> list[tuple[int, ...]]:
    """Objects by what they are prompted with: a list has points, boxes, or both, throughout."""
    groups: dict[tuple[bool, bool], list[int]] = {}
    for number in objects:
        prompt = prompts[number]
        groups.setdefault((bool(prompt.points), prompt.box_xyxy is not None), []).append(number)
    return [tuple(group) for group in groups.values()]


def line_key(instance: dict[str, Any]) -> str:
    """What tells one line's result from another's: the instance without the image's content."""
    rest = {name: value for name, value in instance.items() if name != "image"}
    return json.dumps(_plain(rest), sort_keys=True)


def _plain(value: Any) -> Any:
    """Numbers as floats: the service may write 1 as 1.0."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def prompts_of(planned: PlannedImage) -> tuple[Prompt, ...]:
    """The prompts of a planned image."""
    return tuple(parse_prompt(form, planned.name) for form in planned.prompts)
