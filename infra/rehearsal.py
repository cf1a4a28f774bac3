"""Refuse to synthesize in a shell that points at a rehearsal which is no longer there.

In such a shell Terraform may reach the real cloud, with its state in a folder that the end of the
rehearsal deletes, or has deleted: what it made would bill, and nobody would know of it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from infra.settings import SettingsError

ADDRESS = "SAM_REHEARSAL_VERTEX"
STATE_FOLDER = "rehearsal-state"  # what a rehearsal calls it, wherever its folder is
_SECONDS = 2.0  # for a connection to this machine
_HINT = 'open a new shell, or: eval "$(sam-vertex rehearsal env --unset)"'


def check_rehearsal(state_folder: str, environ: Mapping[str, str]) -> None:
    """Refuse a rehearsal that is gone, and a rehearsal's state without a rehearsal.

    Args:
        state_folder: the setting; empty for the project's folder.
        environ: the variables of the process.

    Raises:
        SettingsError: one of these.
    """
    address = environ.get(ADDRESS, "")
    if address and not _answers(address):
        raise SettingsError(ADDRESS, "this shell points at a rehearsal that has stopped", _HINT)
    if not address and STATE_FOLDER in Path(state_folder).parts:
        raise SettingsError(
            "SAM_STATE_FOLDER", f"{state_folder} is deleted with its rehearsal", _HINT
        )


def _answers(address: str) -> bool:
    parts = urlsplit(address)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), _SECONDS):
            return True
    except (OSError, ValueError):
        return False
