"""A YOLO data set of boxes, as prompts: ``data.yaml`` and a text file of labels for each image.

Each line is ``class x y width height``, the box's centre and size in shares of the image, and after
them the confidence where a detector wrote it
(https://docs.ultralytics.com/datasets/detect/, "Ultralytics YOLO format"). Labels lie in folders
called ``labels``, where the images lie in folders called ``images``.
"""

from __future__ import annotations

from typing import Any

import yaml

from pipeline.ordered_map import ordered_map
from pipeline.run.prompt_sets.prompt_set import (
    ImagePrompts,
    ObjectPrompt,
    PromptSet,
    finite,
    numbered,
)
from serving.sam.errors import PromptError
from serving.sam.prompts import check_category, shown
from serving.storage import Folder

DATA = "data.yaml"
LABELS, IMAGES = "labels", "images"
_SLACK = 1e-3  # of the image: what rounding to a few decimals leaves
_ANY_OVERHANG = 1e9  # shares were checked, so that the frame is known to be right


def read_yolo(folder: Folder, name: str) -> PromptSet:
    """Read the labels below the folder of a ``data.yaml``.

    Args:
        folder: that holds the file.
        name: of the file.

    Raises:
        PromptError: with file and line, what was expected there, and what to do.
        StorageError: a file cannot be read.
    """
    names = _class_names(folder.read_bytes(name), folder.uri_of(name))
    files = [
        file.name
        for file in folder.files()
        if file.name.endswith(".txt") and LABELS in file.name.split("/")[:-1]
    ]
    if not files:
        raise PromptError(
            f"{folder.uri_of(name)}: no text files in a folder {LABELS!r} beside or below it; "
            "put each image's labels there"
        )

    def read(file: str) -> ImagePrompts | None:
        text = folder.read_bytes(file).decode("utf-8-sig", "replace")
        return _image(folder, file, text, names)

    found = [image for image in ordered_map(read, files, folder.readers) if image is not None]
    return PromptSet(images=tuple(found), categories=numbered(names), others="left out")


def _class_names(content: bytes, uri: str) -> list[str]:
    try:
        data: Any = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PromptError(f"{uri}: not valid YAML ({' '.join(str(error).split())})") from error
    names = data.get("names") if isinstance(data, dict) else None
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise PromptError(
            f"{uri}: names: expected the classes' names, as a list or numbered from 0, "
            f"got {shown(names)}"
        )
    checked: list[str] = []
    for number, value in enumerate(names):
        try:
            checked.append(check_category(str(value)))
        except PromptError as error:
            raise PromptError(f"{uri}: names[{number}]: {error}") from error
        if checked.index(checked[-1]) != number:
            raise PromptError(f"{uri}: names[{number}]: {value!r} appears twice")
    return checked


def _image(folder: Folder, file: str, text: str, names: list[str]) -> ImagePrompts | None:
    objects = tuple(
        _object(line.split(), names, f"{folder.uri_of(file)}: line {number}")
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip()
    )
    if not objects:
        return None
    parts = file.removesuffix(".txt").split("/")
    labels = len(parts) - 1 - parts[::-1].index(LABELS)
    beside = "/".join([*parts[:labels], IMAGES, *parts[labels + 1 :]])
    without = "/".join([*parts[:labels], *parts[labels + 1 :]])
    return ImagePrompts(
        names=(f"{folder.uri_of(beside)}.*", f"{beside}.*", f"{without}.*"),
        objects=objects,
        relative=True,
        overhang_px=_ANY_OVERHANG,
    )


def _object(values: list[str], names: list[str], place: str) -> ObjectPrompt:
    if len(values) not in (5, 6):  # a detector adds its confidence, which says nothing of the box
        raise PromptError(
            f"{place}: expected 'class x y width height', got {len(values)} values"
            + ("; polygons need no masks any more" if len(values) > 6 else "")
        )
    if not values[0].isdecimal() or int(values[0]) >= len(names):
        raise PromptError(
            f"{place}: expected a class from 0 to {len(names) - 1}, the ones that {DATA} names, "
            f"got {values[0][:20]!r}"
        )
    x, y, width, height = (finite(value, place) for value in values[1:5])
    if not all(-_SLACK <= value <= 1 + _SLACK for value in (x, y)) or not all(
        0 < value <= 1 + _SLACK for value in (width, height)
    ):
        raise PromptError(
            f"{place}: expected shares of the image, 0 to 1, got {' '.join(values[1:5])[:60]!r}; "
            "divide pixels by the image's width and height"
        )
    return ObjectPrompt(
        place=place,
        box_xyxy=(x - width / 2, y - height / 2, x + width / 2, y + height / 2),
        category=names[int(values[0])],
    )
