"""A COCO data set with boxes, as prompts (https://cocodataset.org/#format-data).

Boxes are ``[x, y, width, height]`` in pixels. Visible keypoints (``v`` = 2) become points on the
object. A crowd (``iscrowd`` = 1) is no object, and is left out.
"""

from __future__ import annotations

import collections
from typing import Any

from pipeline.run.prompt_sets.prompt_set import (
    Category,
    ImagePrompts,
    ObjectPrompt,
    PromptSet,
    finite,
)
from serving.sam.errors import PromptError
from serving.sam.prompts import MAX_POINTS, check_category, shown

_VISIBLE = 2
_ANY_OVERHANG = 1e9  # the file gives the image's size, so that its frame is known to be right
_FORM = 'a COCO data set {"images": [...], "annotations": [...], "categories": [...]}'


def is_coco(content: Any) -> bool:
    """Whether JSON looks like a COCO data set."""
    return isinstance(content, dict) and isinstance(content.get("annotations"), list)


def parse_coco(content: dict[str, Any], uri: str) -> PromptSet:
    """Read the boxes of a COCO data set.

    Args:
        content: the JSON object.
        uri: the file, for messages.

    Raises:
        PromptError: with the place, what was expected there, and what to do.
    """
    categories = _categories(content.get("categories"), uri)
    names = {category.id: category.name for category in categories}
    images = _by_id(content.get("images"), f"{uri}: images")
    objects: dict[Any, list[ObjectPrompt]] = {}
    short_names = collections.Counter(
        _last_part(image.get("file_name")) for image in images.values()
    )
    for number, annotation in enumerate(content["annotations"]):
        place = f"{uri}: annotations[{number}]"
        if not isinstance(annotation, dict):
            raise PromptError(f"{place}: expected an object, got {shown(annotation)}")
        image_id: Any = annotation.get("image_id")
        if image_id not in images:
            raise PromptError(
                f"{place}.image_id: expected the id of one of the {len(images)} images, "
                f"got {shown(image_id)}"
            )
        if annotation.get("iscrowd") == 1:
            continue
        category_id = annotation.get("category_id")
        if category_id not in names:
            raise PromptError(
                f"{place}.category_id: expected one of the {len(names)} categories' ids, "
                f"got {shown(category_id)}"
            )
        objects.setdefault(image_id, []).append(_object(annotation, names[category_id], place))
    return PromptSet(
        images=tuple(
            _image(images[image_id], tuple(found), f"{uri}: image {image_id}", short_names)
            for image_id, found in objects.items()
        ),
        categories=categories,
        others="left out",
    )


def _by_id(items: Any, place: str) -> dict[Any, dict[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise PromptError(f"{place}: expected a list of objects, as in {_FORM}")
    found: dict[Any, dict[str, Any]] = {}
    for number, item in enumerate(items):
        identity = item.get("id")
        if not isinstance(identity, int | str) or isinstance(identity, bool) or identity in found:
            raise PromptError(
                f"{place}[{number}].id: expected an id that no other has, got {shown(identity)}"
            )
        found[identity] = item
    return found


def _categories(items: Any, uri: str) -> tuple[Category, ...]:
    categories: list[Category] = []
    names: set[str] = set()
    for identity, item in _by_id(items, f"{uri}: categories").items():
        place = f"{uri}: categories[{len(categories)}]"
        if not isinstance(identity, int):
            raise PromptError(f"{place}.id: expected a whole number, got {shown(identity)}")
        try:
            name = check_category(item.get("name"))
        except PromptError as error:
            raise PromptError(f"{place}.name: {error}") from error
        if name in names:
            raise PromptError(f"{place}.name: {name!r} appears twice; give each its own name")
        names.add(name)
        above = item.get("supercategory", "")
        categories.append(Category(identity, name, above if isinstance(above, str) else ""))
    return tuple(sorted(categories, key=lambda category: category.id))


def _object(annotation: dict[str, Any], category: str, place: str) -> ObjectPrompt:
    value = annotation.get("bbox")
    if not isinstance(value, list) or len(value) != 4:
        raise PromptError(f"{place}.bbox: expected [x, y, width, height], got {shown(value)}")
    x, y, width, height = (finite(item, f"{place}.bbox[{i}]") for i, item in enumerate(value))
    if width <= 0 or height <= 0:
        raise PromptError(
            f"{place}.bbox: expected a width and a height above 0, got {shown(value)}; "
            "remove this annotation, or mark it with iscrowd 1"
        )
    points = _points(annotation.get("keypoints") or [], f"{place}.keypoints")
    return ObjectPrompt(
        place=place,
        points=points,
        labels=(1,) * len(points),
        box_xyxy=(x, y, x + width, y + height),
        category=category,
    )


def _points(value: Any, place: str) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, list) or len(value) % 3 or len(value) > 3 * MAX_POINTS:
        raise PromptError(f"{place}: expected [x, y, v, ...] in threes, got {shown(value)}")
    numbers = [finite(item, f"{place}[{i}]") for i, item in enumerate(value)]
    threes = zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)
    return tuple((x, y) for x, y, visible in threes if visible == _VISIBLE)


def _last_part(name: Any) -> str:
    return str(name).replace("\\", "/").rpartition("/")[2]


def _image(
    image: dict[str, Any],
    objects: tuple[ObjectPrompt, ...],
    place: str,
    short_names: collections.Counter[str],
) -> ImagePrompts:
    name, width, height = image.get("file_name"), image.get("width"), image.get("height")
    if not isinstance(name, str) or not name:
        raise PromptError(f"{place}: expected a file_name, got {shown(name)}")
    sized = isinstance(width, int) and isinstance(height, int)
    name, short = name.replace("\\", "/").removeprefix("./"), _last_part(name)
    return ImagePrompts(
        names=(name, short) if short != name and short_names[short] == 1 else (name,),
        objects=objects,
        size=(width, height) if sized else None,  # type: ignore[arg-type]  # mypy loses it
        overhang_px=_ANY_OVERHANG if sized else 1.0,
    )
