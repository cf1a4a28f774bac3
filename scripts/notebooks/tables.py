"""Rows as a table of the notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def show_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Display rows under the names of the first one's keys.

    Args:
        rows: of one shape; floats are shown with three digits, everything else as text.
    """
    from IPython.display import Markdown, display

    display(Markdown(table_text(rows)))  # type: ignore[no-untyped-call]


def table_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table; a cell's own bars and line ends cannot break it."""
    if not rows:
        return "(no rows)"
    names = list(rows[0])
    lines = [names, ["---:" if _is_number(rows[0][name]) else "---" for name in names]]
    lines += [[_cell(row[name]) for name in names] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    escapes = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "\\|", "\n": " ", "\r": " "}
    return "".join(escapes.get(character, character) for character in text)
