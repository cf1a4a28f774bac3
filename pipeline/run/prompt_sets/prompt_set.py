"""What a prompts file says, before anybody knows which images it means and how large they are."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from serving.sam.errors import PromptError
from serving.sam.prompts import Box, Prompt, make_prompt


@dataclasses.dataclass(frozen=True, slots=True)
class Category:
    """A name of objects, with the number that it has in the owner's data set.

    Attributes:
        id: from 1, or as the owner's COCO file has it.
        name: what outputs call it.
        supercategory: as in COCO; empty for none.
    """

    id: int
    name: str
    supercategory: str = ""

    def to_json(self) -> dict[str, Any]:
        """The category as COCO writes it."""
        return {"id": self.id, "name": self.name, "supercategory": self.supercategory}


def numbered(names: Sequence[str]) -> tuple[Category, ...]:
    """Categories of these names, numbered from 1."""
    return tuple(Category(number, name) for number, name in enumerate(names, 1))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ObjectPrompt:
    """One object, in the frame of the file that names it.

    Attributes:
        place: where in the file, for messages.
        points: (x, y), on the object.
        labels: for each point 1 or 0.
        box_xyxy: (x0, y0, x1, y1), or ``None``.
        category: what it is; empty if nobody says.
    """

    place: str
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box_xyxy: Box | None = None
    category: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImagePrompts:
    """The objects of one image.

    Attributes:
        names: what the image may be called, the most telling first: a path, with ``.*`` for any
            suffix.
        objects: what to segment.
        size: (width, height) in pixels that the file gives the image; ``None`` if it does not.
        relative: whether boxes are in shares of the image instead of pixels.
        overhang_px: how far a box may reach beyond the image; it is cut off there.
    """

    names: tuple[str, ...]
    objects: tuple[ObjectPrompt, ...]
    size: tuple[int, int] | None = None
    relative: bool = False
    overhang_px: float = 0.0

    def fitted(self, width: int, height: int) -> tuple[Prompt, ...]:
        """The prompts in the pixels of an image of ``width`` x ``height``.

        Raises:
            PromptError: the file is about an image of another size, or a prompt lies outside.
        """
        if self.size is not None and self.size != (width, height):
            turned = " (turned upright by its EXIF data)" if self.size == (height, width) else ""
            raise PromptError(
                f"{self.objects[0].place}: the file says that {self.names[0]} has "
                f"{self.size[0]} x {self.size[1]} pixels, and the image has "
                f"{width} x {height}{turned}; export the boxes for these images"
            )
        return tuple(self._fitted(item, width, height) for item in self.objects)

    def unfitted(self) -> tuple[Prompt, ...]:
        """The prompts of an image whose size nobody can read; only its own failure needs them."""
        return tuple(_prompt(item, item.box_xyxy) for item in self.objects)

    def _fitted(self, item: ObjectPrompt, width: int, height: int) -> Prompt:
        box = item.box_xyxy
        if box is not None and self.relative:
            box = (box[0] * width, box[1] * height, box[2] * width, box[3] * height)
        if box is not None and self.overhang_px:
            most = self.overhang_px
            cut = (max(box[0], 0.0), max(box[1], 0.0), min(box[2], width), min(box[3], height))
            overhang = max(abs(a - b) for a, b in zip(box, cut, strict=True))
            if overhang <= most and cut[0] < cut[2] and cut[1] < cut[3]:
                box = (float(cut[0]), float(cut[1]), float(cut[2]), float(cut[3]))
        prompt = _prompt(item, box)
        prompt.check_inside(width, height, item.place)
        return prompt


def _prompt(item: ObjectPrompt, box: Box | None) -> Prompt:
    return make_prompt(item.points, item.labels, box, item.place, item.category)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PromptSet:
    """All that a prompts file says.

    Attributes:
        images: the images that it names.
        categories: in the owner's order; empty where the file has no list of them.
        others: what becomes of images without prompts: ``automatic`` masks, or ``left out``. A
            detector found nothing on an image without boxes, so that it has no objects.
    """

    images: tuple[ImagePrompts, ...] = ()
    categories: tuple[Category, ...] = ()
    others: str = "automatic"


def own_form(prompts: Mapping[str, Sequence[Prompt]], given: PromptSet) -> dict[str, Any]:
    """Prompts that were found for images, as the prompts file with its list of categories.

    Args:
        prompts: of the images that have any, by their names in the run.
        given: what they were found in.
    """
    return {
        "categories": [category.to_json() for category in given.categories],
        "images": {name: [p.to_json() for p in objects] for name, objects in prompts.items()},
        "others": given.others,
    }


def finite(value: Any, place: str) -> float:
    """A number of a file; PromptError names the place."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not -1e9 < number < 1e9:
        raise PromptError(f"{place}: expected a finite number, got {str(value)[:60]!r}")
    return number
