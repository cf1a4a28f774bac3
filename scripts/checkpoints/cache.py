"""Where this machine keeps the checkpoints that it fetched."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from scripts.terminal.errors import OperatorError
from serving.sam.known_checkpoints import CHECKPOINTS, CheckpointEntry, find_entry


def cache_folder() -> Path:
    """The folder for fetched checkpoints, by the XDG base directory specification."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "sam-vertex" / "checkpoints"


def cached_path(entry: CheckpointEntry) -> Path:
    """Where a known checkpoint lies, or will lie once it is fetched."""
    return entry.embedded_path or cache_folder() / entry.file_name


def checkpoint_table() -> list[dict[str, Any]]:
    """A row for each known checkpoint; its ``path`` is ``None`` where it is not on this machine."""
    return [
        {
            "name": entry.name,
            "file_name": entry.file_name,
            "size_bytes": entry.size_bytes,
            "sha256": entry.sha256,
            "path": str(cached_path(entry)) if cached_path(entry).exists() else None,
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
    path = cached_path(entry)
    if not path.exists():
        raise OperatorError(
            f"{entry.name} is not on this machine ({path} is missing)",
            hint=f"sam-vertex checkpoint fetch {entry.name}, or --checkpoint vit_tiny",
        )
    return str(path)
