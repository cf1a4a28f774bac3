"""How far a run is: each shard writes its counts, the command line reads them all."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from typing import Any

from pipeline.run.manifest import ManifestRow, read_json
from pipeline.run.output_layout import PLANNED, PROGRESS, shard_progress_name
from serving.storage import Folder, StorageError


class ShardProgress:
    """Writes now and then into the output how far a shard is."""

    def __init__(self, output: Folder, shard: str) -> None:
        self._output, self._name = output, shard_progress_name(shard)
        self._written = 0.0
        self._counts: dict[str, float] = {"done": 0, "failed": 0, "masks": 0, "part": 0.0}

    def add(self, row: ManifestRow) -> None:
        """Count one image."""
        self._counts[row.status] += 1
        self._counts["masks"] += row.masks
        self._counts["part"] = 0.0
        if time.monotonic() - self._written >= self._output.progress_seconds:
            self.write()

    def within(self, share: float) -> None:
        """Note the share that is done of the image in hand, 0-1.

        What cannot be written is no fault of that image; the next :meth:`add` says it.
        """
        self._counts["part"] = round(share, 3)
        if time.monotonic() - self._written >= self._output.progress_seconds:
            self._written = time.monotonic()
            with contextlib.suppress(StorageError):
                self.write()

    def write(self) -> None:
        """Write the counts now."""
        self._output.write_short_text(self._name, json.dumps(self._counts))
        self._written = time.monotonic()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """How far a run is.

    Attributes:
        total: images that this run has to compute; ``None`` until it has planned them.
        done: images that it has finished.
        failed: images that have failed in it.
        masks: masks of the images that it has finished.
        part: what is done of the images in hand, in images.
    """

    total: int | None
    done: int = 0
    failed: int = 0
    masks: int = 0
    part: float = 0.0


class ProgressReader:
    """Reads how far a run is, with one request to a bucket however many shards there are.

    Args:
        output: the run's output.
    """

    def __init__(self, output: Folder) -> None:
        self._output = output
        self._total: int | None = None

    def read(self) -> RunProgress:
        """Read it now.

        Raises:
            StorageError, ValueError, KeyError: a file cannot be read.
        """
        if self._total is None:
            if not self._output.exists(PLANNED):
                return RunProgress(total=None)
            self._total = int(read_json(self._output, PLANNED)["todo"])
        counts: dict[str, Any] = {"done": 0, "failed": 0, "masks": 0, "part": 0.0}
        for text in self._output.short_texts(PROGRESS).values():
            for key, value in json.loads(text).items():
                counts[key] += value
        return RunProgress(total=self._total, **counts)
