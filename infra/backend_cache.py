"""What Terraform remembers of the state's place in a synthesized stack's folder.

One folder serves every platform that somebody deploys from a checkout. When the place of the state
changes, 'terraform init' refuses and proposes -migrate-state, which cdktf's --migrate-state passes
on. For one platform whose state moves that is right. For another platform it would copy the state
of the first, whose resources the next deployment would replace. So the app makes Terraform forget
a place that is another platform's, as -reconfigure does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.rehearsal import STATE_FOLDER
from infra.settings import STACKS, Settings, state_file, state_prefix

_CACHE = Path(".terraform", "terraform.tfstate")  # of the backend alone; resources lie elsewhere


def forget_other_platforms(synthesized: Path, settings: Settings) -> None:
    """Forget the places of states that are not this platform's.

    Args:
        synthesized: the folder that the app writes.
        settings: of the platform that is synthesized now.
    """
    for stack in STACKS:
        cache = synthesized / "stacks" / stack / _CACHE
        if cache.is_file() and not _is_of(_backend(cache), settings, stack):
            cache.unlink()


def _backend(cache: Path) -> Mapping[str, Any]:
    try:
        remembered = json.loads(cache.read_text("utf-8"))
        return dict((remembered.get("backend") or {}).get("config") or {})
    except (ValueError, AttributeError):
        return {}  # torn: Terraform says so itself


def _is_of(backend: Mapping[str, Any], settings: Settings, stack: str) -> bool:
    """Whether a place is one where this platform's state may have been."""
    path, prefix = Path(str(backend.get("path", ""))), backend.get("prefix")
    folder = Path(settings.state_folder)
    if STATE_FOLDER in (*path.parts, *folder.parts):
        return path.parent == folder  # nothing moves into a rehearsal or out of it
    if prefix:  # of a bucket
        return str(prefix) == state_prefix(settings) + stack
    return not backend or path.name == state_file(settings, stack)
