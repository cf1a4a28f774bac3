"""How far a run is: each shard writes its counts, the command line reads them all."""

from __future__ import annotations

import dataclasses
import time

from pipeline.run.manifest import ManifestRow, read_json, write_json
from pipeline.run.output_layout import PLANNED, shard_name, shard_progress_name
from serving.storage import Folder


class ShardProgress:
    """Writes now and then into the output how far a shard is."""

    def __init__(self, output: Folder, shard: str) -> None:
        self._output, self._name = output, shard_progress_name(shard)
        self._written = 0.0
        self._counts = {"done": 0, "failed": 0, "masks": 0}

    def add(self, row: ManifestRow) -> None:
        """Count one image."""
        self._counts[row.status] += 1
        self._counts["masks"] += row.masks
        if time.monotonic() - self._written >= self._output.progress_seconds:
            self.write()

    def write(self) -> None:
        """Write the counts now."""
        write_json(self._output, self._name, self._counts)
        self._written = time.monotonic()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How far a run is.

    Attributes:
        total: images that this run has to compute; ``None`` until it has planned them.
        done: images that it has finished.
        failed: images that have failed in it.
        masks: masks of the images that it has finished.
    """

    total: int | None
    done: int = 0
    failed: int = 0
    masks: int = 0


def read_progress(output: Folder, shards: int) -> RunProgress:
    """Read how far a run is.

    Args:
        output: the run's output.
        shards: how many shards the run has at most.

    Raises:
        StorageError, ValueError, KeyError: a file cannot be read.
    """
    if not output.exists(PLANNED):
        return RunProgress(total=None)
    counts = {"done": 0, "failed": 0, "masks": 0}
    for number in range(shards):
        name = shard_progress_name(shard_name(number))
        if output.exists(name):
            for key, value in read_json(output, name).items():
                counts[key] += value
    return RunProgress(total=read_json(output, PLANNED)["todo"], **counts)
