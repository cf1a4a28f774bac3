"""Where this user's machine keeps what the commands have fetched and learnt."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """This project's folder in the user's cache, by the XDG base directory specification.

    The one variable that the core reads: a checkpoint by its name, ``Engine.load("vit_b")``, must
    be the file that ``sam-vertex checkpoint fetch`` has put there.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sam-vertex"
