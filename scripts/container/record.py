"""``image.json`` beside the deployment's outputs: the images that were built last."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from scripts.local_files import write_whole

RECORD = "image.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImages:
    """The two images of a working tree in the registry.

    Attributes:
        image: the model server's address with its digest, by which everything else names it.
        steps_image: likewise, the image of the pipeline's steps.
        tag: the tag of both.
        revision: the git revision they were built from.
        dirty: whether the working tree differed from that revision.
        builder: ``docker``, ``cloud-build``, or ``registry``, which had both.
    """

    image: str
    steps_image: str
    tag: str
    revision: str
    dirty: bool
    builder: str


def write_record(outputs: Path, built: BuiltImages) -> None:
    """Remember images beside the outputs of 'cdktf deploy'."""
    content = json.dumps(dataclasses.asdict(built), indent=2) + "\n"
    write_whole(outputs.parent / RECORD, content.encode())


def last_steps_image(outputs: Path) -> str:
    """Address of the steps' image that was built last; empty where none was."""
    path = outputs.parent / RECORD
    content = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return str(content.get("steps_image", ""))
