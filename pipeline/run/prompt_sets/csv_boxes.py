"""A table of boxes, ``file,x0,y0,x1,y1,category``, as prompts: pixels, XY from the top left."""

from __future__ import annotations

import csv
import io

from pipeline.run.prompt_sets.prompt_set import (
    ImagePrompts,
    ObjectPrompt,
    PromptSet,
    finite,
    numbered,
)
from serving.sam.errors import PromptError
from serving.sam.prompts import check_category

_CORNERS = ("x0", "y0", "x1", "y1")
_EXPECTED = "file,x0,y0,x1,y1,category (the category may be missing)"


def parse_csv(text: str, uri: str) -> PromptSet:
    """Read a table whose first line names its columns, in any order.

    Raises:
        PromptError: with the line, what was expected there, and what to do.
    """
    lines = csv.DictReader(io.StringIO(text), strict=True, skipinitialspace=True)
    objects: dict[str, list[ObjectPrompt]] = {}
    categories: set[str] = set()
    try:
        columns = lines.fieldnames or ()
        missing = [name for name in ("file", *_CORNERS) if name not in columns]
        if missing:
            raise PromptError(
                f"{uri}: line 1: no column {missing[0]!r}; expected the columns {_EXPECTED}, "
                f"got {','.join(columns)[:80]!r}"
            )
        for row in lines:
            place = f"{uri}: line {lines.line_num}"
            if None in row or any(value is None for value in row.values()):
                raise PromptError(f"{place}: expected {len(columns)} values, as line 1 names them")
            if not row["file"]:
                raise PromptError(f"{place}: file: expected the name of an image, got nothing")
            x0, y0, x1, y1 = (finite(row[name], f"{place}: {name}") for name in _CORNERS)
            category = row.get("category", "")
            try:
                if category:
                    categories.add(check_category(category))
            except PromptError as error:
                raise PromptError(f"{place}: {error}") from error
            objects.setdefault(row["file"], []).append(
                ObjectPrompt(place=place, box_xyxy=(x0, y0, x1, y1), category=category)
            )
    except csv.Error as error:
        raise PromptError(f"{uri}: line {lines.line_num}: no CSV ({error})") from error
    return PromptSet(
        images=tuple(
            ImagePrompts(names=(name,), objects=tuple(found), overhang_px=1.0)
            for name, found in objects.items()
        ),
        categories=numbered(sorted(categories)),
        others="left out",
    )
