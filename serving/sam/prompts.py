"""Prompts of a caller: points, labels and boxes, validated before any model runs.

Pixel frame, origin top left, XY order; https://github.com/facebookresearch/segment-anything gives
their meaning. :mod:`serving.sam.prompts_file` reads many of them.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from serving.sam.errors import PromptError

Point = tuple[float, float]
Box = tuple[float, float, float, float]
MAX_POINTS = 1000
MAX_CATEGORY = 200  # characters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One object to segment, by points, by a box, or by both.

    Attributes:
        points: (x, y) in pixels.
        labels: for each point 1 (on the object) or 0 (not on it).
        box_xyxy: (x0, y0, x1, y1) in pixels, or ``None``.
        category: what the object is, for the outputs; the network does not see it. Empty: unknown.

    Raises:
        PromptError: neither points nor a box, counts differ, a label is not 0 or 1, a category
            that is no line of text.
    """

    points: tuple[Point, ...] = ()
    labels: tuple[int, ...] = ()
    box_xyxy: Box | None = None
    category: str = ""

    def __post_init__(self) -> None:
        if not self.points and self.box_xyxy is None:
            raise PromptError("expected at least one point or a box, got neither")
        if len(self.points) != len(self.labels):
            raise PromptError(
                f"expected one label for each point, got {len(self.points)} points "
                f"and {len(self.labels)} labels"
            )
        if len(self.points) > MAX_POINTS:
            raise PromptError(f"at most {MAX_POINTS} points an object, got {len(self.points)}")
        for label in self.labels:
            if label not in (0, 1):
                raise PromptError(f"label must be 1 (foreground) or 0 (background), got {label!r}")
        if self.labels and 1 not in self.labels and self.box_xyxy is None:
            raise PromptError(
                "every point is background (label 0); add a foreground point (label 1) or a box"
            )
        if self.box_xyxy is not None:
            x0, y0, x1, y1 = self.box_xyxy
            if x0 >= x1 or y0 >= y1:
                raise PromptError(
                    f"box must be [x0, y0, x1, y1] with x0 < x1 and y0 < y1, "
                    f"got {list(self.box_xyxy)}"
                )
        if self.category != "":
            check_category(self.category)

    def check_inside(self, width: int, height: int, field: str) -> None:
        """Refuse a prompt that does not lie in an image of ``width`` x ``height`` pixels.

        Raises:
            PromptError: a point or a box corner is outside.
        """
        size = f"the image is {width} x {height} pixels (x 0-{width - 1}, y 0-{height - 1})"
        for x, y in self.points:
            if not (0 <= x < width and 0 <= y < height):
                raise PromptError(f"{field}: point [{x:g}, {y:g}] lies outside; {size}")
        if self.box_xyxy is not None:
            x0, y0, x1, y1 = self.box_xyxy
            if not (0 <= x0 and 0 <= y0 and x1 <= width and y1 <= height):
                box = ", ".join(f"{value:g}" for value in self.box_xyxy)
                raise PromptError(f"{field}: box [{box}] lies outside; {size}")

    def to_json(self) -> dict[str, Any]:
        """The prompt in the long form of the prompts file."""
        form: dict[str, Any] = {}
        if self.points:
            form["points"] = [list(point) for point in self.points]
            form["labels"] = list(self.labels)
        if self.box_xyxy is not None:
            form["box"] = list(self.box_xyxy)
        if self.category:
            form["category"] = self.category
        return form


def check_category(value: Any) -> str:
    """Return a category: one line of at most 200 characters, without blanks around it.

    Raises:
        PromptError: it is something else.
    """
    if (
        not isinstance(value, str)
        or not value.isprintable()
        or value != value.strip()
        or not 0 < len(value) <= MAX_CATEGORY
    ):
        raise PromptError(
            f"category must be a line of 1 to {MAX_CATEGORY} characters, got {shown(value)}"
        )
    return value


def _number(value: Any, field: str) -> float:
    # Written so that NaN, infinities and integers too long for a float are refused as well.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        raise PromptError(f"{field}: expected a finite number in pixels, got {shown(value)}")
    return float(value)


def shown(value: Any) -> str:
    """A caller's value as JSON, at most 60 characters, for a message."""
    if isinstance(value, str):
        value = value[:60]
    try:
        text = json.dumps(value, default=str)
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= 60 else text[:57] + "..."


def parse_point(value: Any, field: str) -> Point:
    """Return a point ``[x, y]``; PromptError names the field."""
    if not isinstance(value, list) or len(value) != 2:
        raise PromptError(f"{field}: expected a point [x, y], got {shown(value)}")
    return _number(value[0], f"{field}[0]"), _number(value[1], f"{field}[1]")


def parse_points(value: Any, field: str) -> tuple[Point, ...]:
    """Return points ``[[x, y], ...]``, at least one; PromptError names the field."""
    if not isinstance(value, list) or not value:
        raise PromptError(f"{field}: expected a list of points [[x, y], ...], got {shown(value)}")
    if not isinstance(value[0], list):
        raise PromptError(
            f"{field}: expected a list of points [[x, y], ...], got {shown(value)}; "
            "wrap a single point in a list"
        )
    return tuple(parse_point(item, f"{field}[{number}]") for number, item in enumerate(value))


def parse_labels(value: Any, field: str) -> tuple[int, ...]:
    """Return labels, each 0 or 1; PromptError names the field."""
    if not isinstance(value, list):
        raise PromptError(f"{field}: expected a list of labels, got {shown(value)}")
    for number, label in enumerate(value):
        if isinstance(label, bool) or label not in (0, 1):
            raise PromptError(
                f"{field}[{number}]: label must be 1 (foreground) or 0 (background), "
                f"got {shown(label)}"
            )
    return tuple(int(label) for label in value)


def parse_box(value: Any, field: str) -> Box:
    """Return a box ``[x0, y0, x1, y1]``; PromptError names the field."""
    if not isinstance(value, list) or len(value) != 4:
        raise PromptError(f"{field}: expected a box [x0, y0, x1, y1], got {shown(value)}")
    x0, y0, x1, y1 = (_number(item, f"{field}[{i}]") for i, item in enumerate(value))
    return x0, y0, x1, y1


def parse_prompt(value: Any, field: str) -> Prompt:
    """Return the prompt of one object in the long form.

    Raises:
        PromptError: naming the field and what was expected there.
    """
    if not isinstance(value, dict):
        raise PromptError(
            f'{field}: expected {{"points": ..., "labels": ..., "box": ...}}, got {shown(value)}'
        )
    unknown = sorted(set(value) - {"points", "labels", "box", "category"})
    if unknown:
        raise PromptError(
            f"{field}: unknown key {unknown[0]!r}; known are points, labels, box, category"
        )
    points = parse_points(value["points"], f"{field}.points") if "points" in value else ()
    if "labels" in value:
        labels = parse_labels(value["labels"], f"{field}.labels")
    else:
        labels = (1,) * len(points)  # a point without a label means "this"
    box = parse_box(value["box"], f"{field}.box") if value.get("box") is not None else None
    return make_prompt(points, labels, box, field, value.get("category", ""))


def make_prompt(
    points: tuple[Point, ...],
    labels: tuple[int, ...],
    box: Box | None,
    field: str,
    category: Any = "",
) -> Prompt:
    """Return a prompt; PromptError names the field."""
    try:
        return Prompt(points=points, labels=labels, box_xyxy=box, category=category)
    except PromptError as error:
        raise PromptError(f"{field}: {error}") from error
