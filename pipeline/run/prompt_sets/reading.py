"""Reads prompts in whichever of the known forms a file has."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.run.manifest import as_text
from pipeline.run.parameters import RunError
from pipeline.run.prompt_sets.coco import is_coco, parse_coco
from pipeline.run.prompt_sets.csv_boxes import parse_csv
from pipeline.run.prompt_sets.prompt_set import (
    Category,
    ImagePrompts,
    ObjectPrompt,
    PromptSet,
    numbered,
)
from pipeline.run.prompt_sets.yolo import DATA, read_yolo
from serving.sam.errors import PromptError
from serving.sam.prompts import Prompt, check_category, shown
from serving.sam.prompts_file import load_json, parse_prompts
from serving.storage import Folder, StorageError, open_folder, open_parent

_OTHERS = ("automatic", "left out")

_HINT = "docs/running.md shows the forms that --prompts takes"


def read_prompts(uri: str) -> PromptSet:
    """Read our prompts file, a COCO data set, a YOLO folder or its YAML file, or a CSV.

    Args:
        uri: local or ``gs://``; empty for no prompts.

    Raises:
        RunError: the file cannot be read.
        PromptError: it is wrong; the message names place, expectation and what to do.
    """
    if not uri:
        return PromptSet()
    given = _read(uri)
    if given.others == _OTHERS[1] and not given.images:
        raise PromptError(
            f"{as_text(uri)}: no box in it, so there is nothing to segment; leave out --prompts "
            "for automatic masks"
        )
    return given


def _read(uri: str) -> PromptSet:
    try:
        folder, name = _located(uri)
        if PurePosixPath(name).suffix.lower() in (".yaml", ".yml"):
            return read_yolo(folder, name)
        content = folder.read_bytes(name)
    except StorageError as error:
        raise RunError(f"prompts file {uri}: {error}", hint=_HINT) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RunError(f"prompts file {uri}: not UTF-8 text ({error})", hint=_HINT) from error
    shown_uri = as_text(uri)
    if PurePosixPath(name).suffix.lower() == ".csv":
        return parse_csv(text, shown_uri)
    return _from_json(load_json(text), shown_uri)


def _located(uri: str) -> tuple[Folder, str]:
    """The folder and the name of the file; a folder stands for the ``data.yaml`` in it."""
    if uri.endswith("/") or Path(uri).expanduser().is_dir():
        return open_folder(uri), DATA
    return open_parent(uri)


def _from_json(content: Any, uri: str) -> PromptSet:
    if is_coco(content):
        return parse_coco(content, uri)
    results = isinstance(content, list) and content and isinstance(content[0], dict)
    if results and "image_id" in content[0]:
        raise PromptError(
            f"{uri}: COCO results name no files; give the data set with its images and "
            "categories, and the results as its annotations"
        )
    if isinstance(content, dict) and {"images", "categories"} <= set(content):
        return _with_categories(content, uri)
    prompts = parse_prompts(content)
    names = sorted({prompt.category for many in prompts.values() for prompt in many} - {""})
    return PromptSet(images=_images(prompts), categories=numbered(names))


def _with_categories(content: dict[str, Any], uri: str) -> PromptSet:
    """Our form with a list of categories: ``{"categories": [...], "images": {...}}``."""
    others = content.get("others", _OTHERS[0])
    if others not in _OTHERS:
        raise PromptError(f"{uri}: others: expected {' or '.join(_OTHERS)}, got {shown(others)}")
    categories = []
    for number, item in enumerate(content["categories"]):
        place = f"{uri}: categories[{number}]"
        if not isinstance(item, dict) or not isinstance(item.get("id"), int):
            raise PromptError(f'{place}: expected {{"id": 1, "name": "..."}}, got {shown(item)}')
        try:
            name = check_category(item.get("name"))
        except PromptError as error:
            raise PromptError(f"{place}.name: {error}") from error
        categories.append(Category(item["id"], name, str(item.get("supercategory", ""))))
    images = _images(parse_prompts(content["images"]))
    return PromptSet(images=images, categories=tuple(categories), others=others)


def _images(prompts: dict[str, tuple[Prompt, ...]]) -> tuple[ImagePrompts, ...]:
    return tuple(
        ImagePrompts(
            names=(name,),
            objects=tuple(
                ObjectPrompt(
                    place=f"prompts[{name!r}]" + (f"[{number}]" if len(objects) > 1 else ""),
                    points=prompt.points,
                    labels=prompt.labels,
                    box_xyxy=prompt.box_xyxy,
                    category=prompt.category,
                )
                for number, prompt in enumerate(objects)
            ),
        )
        for name, objects in prompts.items()
    )
