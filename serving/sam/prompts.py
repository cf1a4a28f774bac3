"""Prompts of a caller: points, labels and boxes, validated before any model runs.

Pixel frame, origin top left, XY order. The prompts file is one JSON object, in any of three forms
for each image (https://github.com/facebookresearch/segment-anything gives the prompts' meaning):

- ``{"1": [[x, y], ...], "0": [[x, y], ...]}``: label to points; one object;
- ``[[x, y], [label]]``: an older spelling, also ``[[[x, y], ...], [label, ...]]``;
- ``[{"points": [[x, y], ...], "labels": [1, ...], "box": [x0, y0, x1, y1]}, ...]``: many objects.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from serving.sam.errors import PromptError

Point = tuple[float, float]
Box = tuple[float, float, float, float]
MAX_POINTS = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One object to segment, by points, by a box, or by both.

    Attributes:
        points: (x, y) in pixels.
        labels: for each point 1 (on the object) or 0 (not on it).
        box_xyxy: (x0, y0, x1, y1) in pixels, or ``None``.

    Raises:
        PromptError: neither points nor a box, counts differ, a label is not 0 or 1.
    """

    points: tuple[Point, ...] = ()
    labels: tuple[int, ...] = ()
    box_xyxy: Box | None = None

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
        return form


def _number(value: Any, field: str) -> float:
    # Written so that NaN, infinities and integers too long for a float are refused as well.
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        raise PromptError(f"{field}: expected a finite number in pixels, got {_shown(value)}")
    return float(value)


def _shown(value: Any) -> str:
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
        raise PromptError(f"{field}: expected a point [x, y], got {_shown(value)}")
    return _number(value[0], f"{field}[0]"), _number(value[1], f"{field}[1]")


def parse_points(value: Any, field: str) -> tuple[Point, ...]:
    """Return points ``[[x, y], ...]``, at least one; PromptError names the field."""
    if not isinstance(value, list) or not value:
        raise PromptError(f"{field}: expected a list of points [[x, y], ...], got {_shown(value)}")
    if not isinstance(value[0], list):
        raise PromptError(
            f"{field}: expected a list of points [[x, y], ...], got {_shown(value)}; "
            "wrap a single point in a list"
        )
    return tuple(parse_point(item, f"{field}[{number}]") for number, item in enumerate(value))


def parse_labels(value: Any, field: str) -> tuple[int, ...]:
    """Return labels, each 0 or 1; PromptError names the field."""
    if not isinstance(value, list):
        raise PromptError(f"{field}: expected a list of labels, got {_shown(value)}")
    for number, label in enumerate(value):
        if isinstance(label, bool) or label not in (0, 1):
            raise PromptError(
                f"{field}[{number}]: label must be 1 (foreground) or 0 (background), "
                f"got {_shown(label)}"
            )
    return tuple(int(label) for label in value)


def parse_box(value: Any, field: str) -> Box:
    """Return a box ``[x0, y0, x1, y1]``; PromptError names the field."""
    if not isinstance(value, list) or len(value) != 4:
        raise PromptError(f"{field}: expected a box [x0, y0, x1, y1], got {_shown(value)}")
    x0, y0, x1, y1 = (_number(item, f"{field}[{i}]") for i, item in enumerate(value))
    return x0, y0, x1, y1


def parse_prompt(value: Any, field: str) -> Prompt:
    """Return the prompt of one object in the long form.

    Raises:
        PromptError: naming the field and what was expected there.
    """
    if not isinstance(value, dict):
        raise PromptError(
            f'{field}: expected {{"points": ..., "labels": ..., "box": ...}}, got {_shown(value)}'
        )
    unknown = sorted(set(value) - {"points", "labels", "box"})
    if unknown:
        raise PromptError(f"{field}: unknown key {unknown[0]!r}; known are points, labels, box")
    points = parse_points(value["points"], f"{field}.points") if "points" in value else ()
    if "labels" in value:
        labels = parse_labels(value["labels"], f"{field}.labels")
    else:
        labels = (1,) * len(points)  # a point without a label means "this"
    box = parse_box(value["box"], f"{field}.box") if value.get("box") is not None else None
    return _prompt(points, labels, box, field)


def _prompt(
    points: tuple[Point, ...], labels: tuple[int, ...], box: Box | None, field: str
) -> Prompt:
    try:
        return Prompt(points=points, labels=labels, box_xyxy=box)
    except PromptError as error:
        raise PromptError(f"{field}: {error}") from error


def _image_prompts(value: Any, field: str) -> tuple[Prompt, ...]:
    if isinstance(value, dict) and value:
        points: tuple[Point, ...] = ()
        labels: tuple[int, ...] = ()
        for label, coordinates in value.items():
            if label not in ("0", "1"):
                raise PromptError(
                    f'{field}: label must be "1" (foreground) or "0" (background), got {label!r}'
                )
            coordinates_px = parse_points(coordinates, f"{field}[{label!r}]")
            points += coordinates_px
            labels += (int(label),) * len(coordinates_px)
        return (_prompt(points, labels, None, field),)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return tuple(parse_prompt(item, f"{field}[{i}]") for i, item in enumerate(value))
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, list) for v in value):
        single = bool(value[0]) and not isinstance(value[0][0], list)
        points = (
            (parse_point(value[0], f"{field}[0]"),)
            if single
            else parse_points(value[0], f"{field}[0]")
        )
        return (_prompt(points, parse_labels(value[1], f"{field}[1]"), None, field),)
    raise PromptError(
        f'{field}: expected {{"1": [[x, y], ...]}}, [[x, y], [label]] or '
        f'[{{"points": ..., "labels": ..., "box": ...}}], got {_shown(value)}'
    )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for key, value in pairs:
        if key in entries:
            raise PromptError(f"prompts file: {key!r} appears twice; merge the two entries")
        entries[key] = value
    return entries


def parse_prompts_file(text: str) -> dict[str, tuple[Prompt, ...]]:
    """Return each image's prompts, by the file name that the prompts file uses.

    Args:
        text: the content of a prompts file, in any mix of the three forms.

    Raises:
        PromptError: not JSON, another structure, or a wrong prompt; the message names the image.
    """
    try:
        content = json.loads(text, object_pairs_hook=_no_duplicates)
    except (json.JSONDecodeError, RecursionError) as error:
        raise PromptError(f"prompts file: not valid JSON ({error})") from error
    if not isinstance(content, dict):
        raise PromptError(
            f'prompts file: expected one JSON object {{"<file name>": ...}}, got {_shown(content)}'
        )
    return {name: _image_prompts(value, f"prompts[{name!r}]") for name, value in content.items()}
