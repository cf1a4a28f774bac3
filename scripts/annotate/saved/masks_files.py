"""The masks files of an output: the truth that everything else in it follows from."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.run.manifest import write_json
from pipeline.run.output_layout import masks_name
from serving.storage import Folder

_BEFORE, _AFTER = masks_name("\0").split("\0")


def masked_images(output: Folder) -> set[str]:
    """The names of the images that have a masks file."""
    files = output.files(_BEFORE)
    return {file.name.removeprefix(_BEFORE).removesuffix(_AFTER) for file in files}


def read_masks(output: Folder, image: str) -> dict[str, Any] | None:
    """The content of an image's masks file; ``None`` where there is none."""
    name = masks_name(image)
    if not output.exists(name):
        return None
    content: dict[str, Any] = orjson.loads(output.read_bytes(name))
    return content


def write_masks(output: Folder, content: dict[str, Any]) -> None:
    """Write an image's masks file, whole or not at all."""
    write_json(output, masks_name(content["image"]), content)
