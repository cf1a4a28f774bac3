"""Which of the known checkpoints are on this machine, and what ``--checkpoint`` stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.terminal.errors import OperatorError
from serving.sam.known_checkpoints import CHECKPOINTS, find_entry


def checkpoint_table() -> list[dict[str, Any]]:
    """A row for each known checkpoint; its ``path`` is ``None`` where it is not on this machine."""
    return [
        {
            "name": entry.name,
            "file_name": entry.file_name,
            "size_bytes": entry.size_bytes,
            "sha256": entry.sha256,
            "licence": entry.licence,
            "path": str(entry.path_here) if entry.path_here.exists() else None,
            "summary": entry.summary,
        }
        for entry in CHECKPOINTS.values()
    ]


def resolve_checkpoint(name: str) -> str:
    """Return the file, URI or embedded name that an operator's ``--checkpoint`` stands for.

    A folder of the same name does not hide a known checkpoint; a file does.

    Raises:
        OperatorError: a known checkpoint that is not on this machine.
    """
    entry = find_entry(name)
    if entry is None or entry.url is None or "/" in name or Path(name).is_file():
        return name
    path = entry.path_here
    if not path.exists():
        raise OperatorError(
            f"{entry.name} is not on this machine ({path} is missing)",
            hint=f"sam-vertex checkpoint fetch {entry.name}, or --checkpoint vit_tiny",
        )
    return str(path)
