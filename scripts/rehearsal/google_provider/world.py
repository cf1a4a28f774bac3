"""The stand-ins' world: one JSON file of everything that exists, which all processes share.

``{"resources": {type: {id: values}}, "existing": [...], "retired": [...], "faults": [...]}``.
Edit it by hand to stage drift. ``existing`` has the full names of resources outside the stacks
(networks, buckets, keys) to which the stacks may refer; ``retired`` has names that nobody can use
again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EMPTY: dict[str, Any] = {"resources": {}, "existing": [], "retired": [], "faults": []}


class World:
    """What exists, as a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextlib.contextmanager
    def open(self) -> Iterator[dict[str, Any]]:
        """The contents, for this block alone; when it ends they are written back whole.

        Terraform applies several resources at once, each in a thread of one process; a second
        ``terraform`` is another process. The lock is on a file beside, because writing replaces
        this one. Nothing is written when the block raises.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            contents = self.read()
            yield contents
            handle, name = tempfile.mkstemp(dir=self.path.parent, suffix=".partial")
            with os.fdopen(handle, "w", encoding="utf-8") as partial:
                json.dump(contents, partial, indent=1, sort_keys=True)
            Path(name).replace(self.path)

    def read(self) -> dict[str, Any]:
        """The contents as they are now."""
        if not self.path.exists():
            return json.loads(json.dumps(EMPTY))  # type: ignore[no-any-return]
        return {**EMPTY, **json.loads(self.path.read_text("utf-8"))}
