"""The page's modules as one module, for a host that loads a single file."""

from __future__ import annotations

import base64
import re
from pathlib import Path

_IMPORT = re.compile(r'^(import [^;]*? from )"(\.[\w./-]+)";', re.MULTILINE)


def one_module(entry: Path) -> str:
    """Return a module whose imports carry what they import, as ``data:`` addresses.

    Args:
        entry: a module that imports others by relative addresses; they have no circle.
    """
    return _carried(entry, {})


def _carried(path: Path, addresses: dict[Path, str]) -> str:
    def address(found: re.Match[str]) -> str:
        other = (path.parent / found[2]).resolve()
        if other not in addresses:
            text = base64.b64encode(_carried(other, addresses).encode()).decode()
            # One address for a module, so that all who import it share one instance.
            addresses[other] = f"data:text/javascript;base64,{text}"
        return f'{found[1]}"{addresses[other]}";'

    return _IMPORT.sub(address, path.read_text("utf-8"))
