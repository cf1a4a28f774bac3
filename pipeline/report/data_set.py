"""The masks of a run as data sets: one COCO file of a small run, and Parquet of any run.

A COCO file of millions of masks is one that nothing opens. Beyond a limit a run leaves it out, and
``sam-vertex export`` writes it in parts.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.report.coco import AnnotationsWriter
from pipeline.report.table import TableWriter
from pipeline.run.output_layout import ANNOTATIONS, TABLES, table_name
from pipeline.run.reviewed import is_rejected
from serving.storage import Folder

MOST_COCO_MASKS = 100_000
MOST_PART_BYTES = 200_000_000  # of run lengths, which compression makes smaller
_PARQUET = "application/vnd.apache.parquet"


class DataSets:
    """Writes both, image by image; each file appears when it is complete. A context manager.

    Args:
        output: the run's folder.
        categories: of the prompts, with their owner's ids.
    """

    def __init__(self, output: Folder, categories: Sequence[Mapping[str, Any]]) -> None:
        self._output = output
        self._stack = contextlib.ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sam-")))
        self._coco_file = self._stack.enter_context((self._folder / "coco").open("wb"))
        self._coco = AnnotationsWriter(self._coco_file, categories)
        self._table: TableWriter | None = None
        self._part_bytes = self._parts = 0

    def __enter__(self) -> DataSets:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def has_coco(self) -> bool:
        """Whether the run is small enough for one COCO file."""
        return self._coco.masks <= MOST_COCO_MASKS

    def add(self, content: dict[str, Any]) -> None:
        """Add the masks of one image, the content of its ``masks/*.json``; not rejected ones."""
        if self.has_coco:
            self._coco.add(content)
        masks = [
            {"number": number, **record}
            for number, record in enumerate(content["masks"])
            if not is_rejected(record)
        ]
        if self._table is None:
            self._table = TableWriter(self._path())
        self._table.add(content, masks)
        self._part_bytes += sum(len(record["segmentation"]["counts"]) for record in masks)
        if self._part_bytes >= MOST_PART_BYTES:
            self._end_part()

    def _path(self) -> Path:
        return self._folder / "part.parquet"

    def _end_part(self) -> None:
        if self._table is not None:
            self._table.close()
            self._output.write_from(table_name(self._parts), self._path(), _PARQUET)
            self._table, self._part_bytes = None, 0
            self._parts += 1

    def close(self) -> None:
        """Write what is left, and remove what an earlier report wrote and this one does not."""
        self._end_part()
        for file in list(self._output.files(f"{TABLES}/part-")):
            if file.name not in {table_name(number) for number in range(self._parts)}:
                self._output.delete(file.name)
        if self.has_coco:
            self._coco.close()
            self._coco_file.flush()
            self._output.write_from(ANNOTATIONS, self._folder / "coco", "application/json")
        else:
            self._output.delete(ANNOTATIONS)
