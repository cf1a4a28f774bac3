"""What an experiment has measured: a file that grows by a row a batch, beside a reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from scripts.local_files import write_whole

Mode = Literal["automatic", "prompted"]
MODES: tuple[Mode, ...] = ("automatic", "prompted")
# Minutes on an n1-standard-4 with one T4, vit_b, images up to 512 pixels: the experiment of the
# document that this project follows, with the official implementation.
REFERENCE: dict[str, Any] = {
    "label": "the original's published figures: another machine (T4), vit_b",
    "images": [5, 50, 100, 500, 1000],
    "automatic_minutes": [0.97, 9.8, 20.1, 105.3, 211.7],
    "prompted_minutes": [0.24, 2.3, 5.2, 26.1, 52.5],
}
_FILE = "experiment.json"
Result = dict[str, Any]
Row = dict[str, Any]


def read_result(folder: Path, settings: dict[str, Any]) -> Result:
    """Return what was measured before with the same settings; without rows where nothing was.

    Args:
        folder: of the experiment.
        settings: everything that tells one experiment from another, and its ``date``.
    """
    empty = {**settings, "reference": REFERENCE, "rows": []}
    try:
        earlier = json.loads((folder / _FILE).read_text("utf-8"))
    except (OSError, ValueError):
        return empty
    same = all(earlier.get(key) == settings[key] for key in settings if key != "date")
    return dict(earlier) if same else empty


def write_result(folder: Path, result: Result) -> None:
    """Keep what was measured."""
    write_whole(folder / _FILE, (json.dumps(result, indent=1) + "\n").encode())


def rows_of(result: Result, mode: Mode) -> Iterator[Row]:
    """Yield the rows of one mode, by size."""
    rows = sorted(result["rows"], key=lambda row: int(row["images"]))
    return (row for row in rows if row["mode"] == mode)


def has_row(result: Result, images: int, mode: Mode) -> bool:
    """Whether a batch of that size was measured in that mode."""
    return any(row["images"] == images for row in rows_of(result, mode))
