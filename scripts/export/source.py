"""What a run left in its output, as an export reads it: image by image, reviewed or not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from pipeline.ordered_map import ordered_map
from pipeline.run.manifest import read_plan
from pipeline.run.output_layout import CATEGORIES, PLAN
from pipeline.run.reviewed import is_accepted, is_rejected, reviewed_images
from scripts.terminal.errors import OperatorError
from serving.sam.masks import category_of
from serving.storage import Folder, StoredFile

_PREFIX, _SUFFIX = "masks/", ".json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExportedImage:
    """An image with the masks that are exported.

    Attributes:
        name: its name in the run.
        uri: where the run read it.
        width: in pixels.
        height: in pixels.
        masks: records of the masks file, each with its ``category`` and its ``number`` there.
        content: the masks file.
    """

    name: str
    uri: str
    width: int
    height: int
    masks: list[dict[str, Any]]
    content: dict[str, Any]


class RunMasks:
    """The masks of a run.

    Args:
        output: the run's folder.
        reviewed: whether only masks count that somebody accepted.

    Attributes:
        files: the masks files of its images.
        gone: masks files of images that were among the inputs of an earlier run only.

    Raises:
        OperatorError: the folder holds no masks.
        StorageError: it cannot be read.
    """

    def __init__(self, output: Folder, *, reviewed: bool) -> None:
        self.output, self.reviewed = output, reviewed
        stored = [file for file in output.files(_PREFIX) if file.name.endswith(_SUFFIX)]
        current = _images_of_the_run(output)
        self.files = [file for file in stored if current is None or _image_of(file.name) in current]
        self.gone = len(stored) - len(self.files)
        if not self.files:
            raise OperatorError(
                f"{output.uri}: no masks/*.json of a run",
                hint="give the --output of 'sam-vertex run'",
            )
        known = json.loads(output.read_bytes(CATEGORIES)) if output.exists(CATEGORIES) else {}
        self.categories: list[dict[str, Any]] = list(known.get("categories", ()))

    def names(self) -> list[str]:
        """The images' names in the run."""
        return [_image_of(file.name) for file in self.files]

    def images(self, files: Sequence[StoredFile]) -> Iterator[ExportedImage]:
        """Read masks files, some ahead; without masks that were rejected."""
        return ordered_map(self._read, files, self.output.readers)

    def _read(self, file: StoredFile) -> ExportedImage:
        try:
            content = orjson.loads(self.output.read_bytes(file.name))
            masks = [
                {**record, "category": category_of(record), "number": number}
                for number, record in enumerate(content["masks"])
                if (is_accepted(record) if self.reviewed else not is_rejected(record))
            ]
            return ExportedImage(
                name=content["image"],
                uri=content["source"],
                width=content["width"],
                height=content["height"],
                masks=masks,
                content=content,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OperatorError(
                f"{self.output.uri_of(file.name)}: no masks file of a run ({error!r})",
                hint="run again with the options of the earlier run, which makes it anew; or "
                "remove what is none",
            ) from error


def _image_of(file: str) -> str:
    return file[len(_PREFIX) : -len(_SUFFIX)]


def _images_of_the_run(output: Folder) -> set[str] | None:
    """The images of the last run, and those that somebody reviewed; ``None`` without a plan.

    An image that its owner has removed from the inputs leaves the report and the run's own data
    sets; its masks file stays, and must not come back by way of an export.
    """
    if not output.exists(PLAN):
        return None
    return {image.name for image in read_plan(output, PLAN)} | reviewed_images(output)
