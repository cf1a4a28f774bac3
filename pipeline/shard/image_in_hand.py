"""Which image a shard's process has in hand, told to the process that watches over it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """What a process that ended had said.

    Attributes:
        image: the image in hand; empty before the first and after the last.
        finished: how many images it had finished.
        alone: whether nothing else was going on that could have ended it.
    """

    image: str = ""
    finished: int = 0
    alone: bool = False


class Hand:
    """Notes the image in hand in a file, or nowhere.

    Args:
        path: a file of this machine; ``None`` where nobody watches.
        one_by_one: how many images are taken without anything beside them.
    """

    def __init__(self, path: Path | None = None, one_by_one: int = 0) -> None:
        self._path = path
        self.one_by_one = one_by_one
        self._begun = self._finished = 0

    @property
    def alone(self) -> bool:
        """Whether the image in hand is one of the first that are taken one by one."""
        return self._finished < self.one_by_one

    def begin(self, image: str) -> None:
        """Note that an image is begun."""
        if self._path is not None:
            said = Said(image, self._finished, self.alone)
            self._path.write_text(json.dumps(dataclasses.asdict(said)), "utf-8")

    def finish(self) -> None:
        """Note that an image is finished."""
        self._finished += 1
        self.begin("")


def read_hand(path: Path) -> Said:
    """What was noted last; a note that was cut off says nothing."""
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Said(**content)
    except (OSError, ValueError, TypeError):
        return Said()
