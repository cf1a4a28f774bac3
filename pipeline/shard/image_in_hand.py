"""A shard's process notes the image it works on, for the step that watches the process.

When the process is killed, the note says which image was being worked on, and whether that image
alone can have been the cause.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class LastNote:
    """The note that a process wrote last before it ended.

    Attributes:
        image: the image it worked on; empty before the first and after the last.
        finished: how many images it had finished.
        alone: whether it worked on nothing else, so that only this image can have ended it.
    """

    image: str = ""
    finished: int = 0
    alone: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    """How a shard's process takes up its images, after what happened to earlier processes.

    Attributes:
        skip: images that it must not try again, each with the reason.
        run_alone: how many images it takes one by one before it works on several at once.
        restarts: how many processes of this shard have died.
    """

    skip: dict[str, str] = dataclasses.field(default_factory=dict)
    run_alone: int = 0
    restarts: int = 0


class InHand:
    """Notes in a file which image the process works on, or nowhere.

    Args:
        path: a file of this machine; ``None`` where nobody watches.
        run_alone: how many images the process takes one by one.
    """

    def __init__(self, path: Path | None = None, run_alone: int = 0) -> None:
        self._path = path
        self._run_alone = run_alone
        self._finished = 0

    @property
    def alone(self) -> bool:
        """Whether the process works on no other image beside this one."""
        return self._finished < self._run_alone

    def begin(self, image: str) -> None:
        """Note that work on an image begins."""
        if self._path is not None:
            note = LastNote(image, self._finished, self.alone)
            self._path.write_text(json.dumps(dataclasses.asdict(note)), "utf-8")

    def finish(self) -> None:
        """Note that work on the image has ended."""
        self._finished += 1
        self.begin("")


def read_last_note(path: Path) -> LastNote:
    """Read the last note; an empty one where the file is missing or was cut off."""
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return LastNote(**content)
    except (OSError, ValueError, TypeError):
        return LastNote()
