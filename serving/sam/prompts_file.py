"""The prompts file: one JSON object with the prompts of many images.

Three forms for each image, in pixels, origin top left, XY order:

- ``{"1": [[x, y], ...], "0": [[x, y], ...]}``: label to points; one object;
- ``[[x, y], [label]]``: an older spelling, also ``[[[x, y], ...], [label, ...]]``;
- ``[{"points": [[x, y], ...], "labels": [1, ...], "box": [x0, y0, x1, y1]}, ...]``: many objects,
  each with a ``"category"`` where somebody knows what it is.
"""

from __future__ import annotations

import json
from typing import Any

from serving.sam.errors import PromptError
from serving.sam.prompts import (
    Point,
    Prompt,
    make_prompt,
    parse_labels,
    parse_point,
    parse_points,
    parse_prompt,
    shown,
)


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
        return (make_prompt(points, labels, None, field),)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return tuple(parse_prompt(item, f"{field}[{i}]") for i, item in enumerate(value))
    if isinstance(value, list) and len(value) == 2 and all(isinstance(v, list) for v in value):
        single = bool(value[0]) and not isinstance(value[0][0], list)
        points = (
            (parse_point(value[0], f"{field}[0]"),)
            if single
            else parse_points(value[0], f"{field}[0]")
        )
        return (make_prompt(points, parse_labels(value[1], f"{field}[1]"), None, field),)
    raise PromptError(
        f'{field}: expected {{"1": [[x, y], ...]}}, [[x, y], [label]] or '
        f'[{{"points": ..., "labels": ..., "box": ...}}], got {shown(value)}'
    )


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for key, value in pairs:
        if key in entries:
            raise PromptError(f"prompts file: {key!r} appears twice; merge the two entries")
        entries[key] = value
    return entries


def load_json(text: str) -> Any:
    """Return the JSON of a prompts file in which no key appears twice.

    Raises:
        PromptError: it is no JSON, or a key appears twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise PromptError(f"prompts file: not valid JSON ({error})") from error


def parse_prompts(content: Any) -> dict[str, tuple[Prompt, ...]]:
    """Return each image's prompts, by the file name that the prompts file uses.

    Args:
        content: the JSON of a prompts file, in any mix of the three forms.

    Raises:
        PromptError: another structure, or a wrong prompt; the message names the image.
    """
    if not isinstance(content, dict):
        raise PromptError(
            f'prompts file: expected one JSON object {{"<file name>": ...}}, got {shown(content)}'
        )
    return {name: _image_prompts(value, f"prompts[{name!r}]") for name, value in content.items()}


def parse_prompts_file(text: str) -> dict[str, tuple[Prompt, ...]]:
    """Return each image's prompts; see :func:`load_json` and :func:`parse_prompts`."""
    return parse_prompts(load_json(text))
