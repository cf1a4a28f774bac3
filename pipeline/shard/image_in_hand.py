"""A shard's process notes the image it works on, for the step that watches the process.

When the process is killed, the note says which image was being worked on, and whether that image
alone can have been the cause. The step reads the note from a file of its machine. While the process
takes its images alone it leaves the note in the run's output too, for the case that the step dies
with it.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from pipeline.run.output_layout import shard_note_name
from serving.storage import Folder, StorageError


@dataclasses.dataclass(frozen=True, slots=True)
class LastNote:
    """The note that a process wrote last before it ended.

    Attributes:
        image: the image it worked on; empty before the first and after the last.
        finished: how many images it had computed and written.
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
        run_alone: how many images it computes one by one before it works on several at once.
        restarts: how many processes of this shard have died.
        first: whether no process of this run has taken up the shard before, so that nothing of it
            can be done that the plan did not know.
        spent_seconds: how long earlier processes of this shard took.
    """

    skip: dict[str, str] = dataclasses.field(default_factory=dict)
    run_alone: int = 0
    restarts: int = 0
    first: bool = False
    spent_seconds: float = 0.0


class InHand:
    """Notes which image the process works on.

    Args:
        path: a file of this machine; ``None`` where nobody watches.
        output: the run's output.
        shard: the shard's name.
        run_alone: how many images the process computes one by one.
    """

    def __init__(self, path: Path | None, output: Folder, shard: str, run_alone: int = 0) -> None:
        self._path, self._output, self._shard = path, output, shard
        self._run_alone = run_alone
        self._finished = 0

    @property
    def alone(self) -> bool:
        """Whether the process works on no other image beside this one."""
        return self._finished < self._run_alone

    def begin(self, image: str) -> None:
        """Note that work on an image begins."""
        if self._path is None:
            return
        note = LastNote(image, self._finished, self.alone)
        content = json.dumps(dataclasses.asdict(note))
        self._path.write_text(content, "utf-8")
        if note.alone:
            name = shard_note_name(self._shard)
            self._output.write_bytes(name, content.encode(), "application/json")

    def finish(self, *, computed: bool) -> None:
        """Note that work on the image has ended.

        Args:
            computed: whether it has masks now. A failed image is no progress: the next process
                meets it again, so it must not end the time in which images are taken alone.
        """
        self._finished += computed
        self.begin("")


def read_last_note(path: Path) -> LastNote:
    """Read the last note; an empty one where the file is missing or was cut off."""
    try:
        return _parse(path.read_bytes())
    except OSError:
        return LastNote()


def read_stored_note(output: Folder, shard: str) -> LastNote:
    """Read the last note that a process left in the output; an empty one where there is none."""
    name = shard_note_name(shard)
    try:
        return _parse(output.read_bytes(name)) if output.exists(name) else LastNote()
    except StorageError:
        return LastNote()


def _parse(text: bytes) -> LastNote:
    try:
        content: dict[str, Any] = json.loads(text)
        return LastNote(**content)
    except (ValueError, TypeError):
        return LastNote()
