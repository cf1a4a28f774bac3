"""What a shard's processes died of, kept in the output, and what follows for the next process.

A container may die together with its process, and Kubeflow then takes up the shard on another
machine: whoever watches next must know what the last one knew, or a shard could restart for ever.

Why it always ends: a death either comes while the process works on one image alone, or makes the
next processes work so. An image that has died twice, the second time alone, is set aside. From the
fifth death on a process takes all its images alone, so of K images that kill their process no more
than ``2 * K + 4`` processes die; ten deaths in a row without a computed image end the shard.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from pipeline.run.manifest import read_json, write_json
from pipeline.run.output_layout import shard_restarts_name
from pipeline.shard.image_in_hand import LastNote, RestartPolicy
from serving.storage import Folder, StorageError

MOST_DEATHS = 10  # one after another, without a computed image or one set aside between
MOST_DEATHS_OF_AN_IMAGE = 2  # while the process worked on nothing else
_ALONE_AFTER_A_DEATH = 3  # images, so that the next death has one cause
_DEATHS_BEFORE_ALL_ALONE = 4
_ALL = 10**9


@dataclasses.dataclass(slots=True, kw_only=True)
class RestartRecord:
    """The deaths of one shard's processes.

    Attributes:
        run: the run that they belong to.
        restarts: how many processes have died.
        in_a_row: how many of them since an image was computed or set aside.
        hangs: how many of these, one after another, were ended because they got no further.
        deaths: for each image, how many processes it ended while it was in hand alone.
        skip: images that were set aside, each with the reason.
        running: whether a process was started whose end nobody has recorded.
        lives: how many processes were started.
        seconds: how long those ran whose end somebody has recorded.
    """

    run: str
    restarts: int = 0
    in_a_row: int = 0
    hangs: int = 0
    deaths: dict[str, int] = dataclasses.field(default_factory=dict)
    skip: dict[str, str] = dataclasses.field(default_factory=dict)
    running: bool = False
    lives: int = 0
    seconds: float = 0.0

    def policy(self) -> RestartPolicy:
        """How the next process takes up the images."""
        alone = _ALONE_AFTER_A_DEATH if self.in_a_row else 0
        if self.restarts > _DEATHS_BEFORE_ALL_ALONE:
            alone = _ALL
        return RestartPolicy(
            skip=dict(self.skip),
            run_alone=alone,
            restarts=self.restarts,
            first=self.lives <= 1,
            spent_seconds=self.seconds,
        )

    def begins(self) -> None:
        """Record that a process is about to start."""
        self.running = True
        self.lives += 1

    def ended(self, seconds: float) -> None:
        """Record that a process has ended, whatever by, after so many seconds."""
        self.running = False
        self.seconds += seconds

    def died(self, note: LastNote, cause: str, way_out: str, *, hung: bool = False) -> None:
        """Record the end of a process.

        Args:
            note: the last that the process noted.
            cause: what ended it, for the reason of an image that is set aside.
            way_out: what its owner should look at.
            hung: whether it was ended because it got no further.
        """
        self.running = False
        self.restarts += 1
        self.in_a_row = 1 if note.finished else self.in_a_row + 1
        self.hangs = int(hung) + (self.hangs if hung and not note.finished else 0)
        if not (note.image and note.alone) or note.image in self.skip:
            return  # one that kills although it was set aside is no progress
        self.deaths[note.image] = self.deaths.get(note.image, 0) + 1
        if self.deaths[note.image] >= MOST_DEATHS_OF_AN_IMAGE:
            self.skip[note.image] = (
                f"{note.image}: whenever it was computed its process was ended by {cause}; "
                f"{way_out}"
            )
            self.in_a_row, self.hangs = 1, 0  # one cause less

    def store(self, output: Folder, shard: str) -> None:
        """Write the record into the run's output."""
        write_json(output, shard_restarts_name(shard), dataclasses.asdict(self))


def stored_record(output: Folder, shard: str, run: str) -> RestartRecord:
    """Return what an earlier process of this run left; a new record where that tells nothing.

    Raises:
        StorageError: the output cannot be read.
    """
    name = shard_restarts_name(shard)
    if not output.exists(name):
        return RestartRecord(run=run)
    try:
        content: dict[str, Any] = read_json(output, name)
        record = RestartRecord(**content)
    except StorageError:
        raise
    except (ValueError, TypeError):  # cut off, or another version's
        return RestartRecord(run=run, lives=1)  # somebody has been here
    return record if record.run == run else RestartRecord(run=run)
