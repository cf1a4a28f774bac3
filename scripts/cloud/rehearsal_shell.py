"""A shell that points at a rehearsal which is no longer there: every command refuses at once.

Its commands would otherwise wait minutes for addresses where nobody answers, or reach the real
cloud with a rehearsal's certificate and state. The infrastructure refuses by a check of its own,
``infra/rehearsal.py``.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from scripts.cloud.vertex_sdk import REHEARSAL
from scripts.terminal.errors import OperatorError

_SECONDS = 2.0  # for a connection to this machine


def refuse_if_gone(environ: Mapping[str, str]) -> None:
    """Refuse to go on where the rehearsal that the variables name does not answer.

    Raises:
        OperatorError: it does not.
    """
    address = environ.get(REHEARSAL, "")
    parts = urlsplit(address)
    if not address or parts.hostname != "127.0.0.1":  # another host has an error of its own
        return
    try:
        with socket.create_connection((parts.hostname, parts.port or 80), _SECONDS):
            pass
    except (OSError, ValueError) as error:
        raise OperatorError(
            f"this shell points at a rehearsal that has stopped ({address})",
            hint='open a new shell, or: eval "$(sam-vertex rehearsal env --unset)"',
        ) from error
