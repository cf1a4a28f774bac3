"""``image.json`` beside the deployment's outputs: the image that was built last."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from scripts.local_files import write_whole

RECORD = "image.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image in the registry.

    Attributes:
        image: its address with its digest, by which everything else names it.
        tag: its tag.
        revision: the git revision it was built from.
        dirty: whether the working tree differed from that revision.
        builder: ``docker``, ``cloud-build``, or ``registry``, which had it already.
    """

    image: str
    tag: str
    revision: str
    dirty: bool
    builder: str


def write_record(outputs: Path, built: BuiltImage) -> None:
    """Remember an image beside the outputs of 'cdktf deploy'."""
    content = json.dumps(dataclasses.asdict(built), indent=2) + "\n"
    write_whole(outputs.parent / RECORD, content.encode())


def last_built_image(outputs: Path) -> str:
    """Address of the image that was built last; empty where none was."""
    path = outputs.parent / RECORD
    return str(json.loads(path.read_text("utf-8"))["image"]) if path.exists() else ""
