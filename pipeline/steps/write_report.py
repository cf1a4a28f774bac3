"""Last step: the manifest, the COCO data set, the figures and the reports of a run."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from pipeline.annotations import write_annotations
from pipeline.manifest import (
    PLAN,
    ManifestRow,
    PlannedImage,
    read_done,
    read_plan,
    read_rows,
    write_json,
)
from pipeline.metrics import RunMetrics
from pipeline.parameters import RunParameters
from pipeline.report_html import write_html
from pipeline.report_markdown import write_markdown
from pipeline.steps.segment_shard import done_row
from pipeline.storage import Folder, open_folder

MANIFEST, ANNOTATIONS, METRICS = "manifest.jsonl", "annotations.json", "metrics.json"
MARKDOWN, HTML = "report.md", "report.html"
_NEVER_RUN = "not computed: its shard did not finish; run again"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How a run ended.

    Attributes:
        images: all images of the run.
        failed: how many have no masks.
        computed: how many of the others this run computed; the rest were done before.
        masks: masks of the others.
        report: where the HTML report is.
        too_many_failed: whether more failed than the run allows.
    """

    images: int
    failed: int
    computed: int
    masks: int
    report: str
    too_many_failed: bool


def write_report(parameters: RunParameters, row_files: Sequence[str], engine: str) -> RunSummary:
    """Gather what the shards left and write everything that describes the whole run.

    Args:
        parameters: the run.
        row_files: the manifests that the shards returned.
        engine: where it ran, ``local`` or ``vertex``.

    Raises:
        StorageError: the output cannot be read or written.
    """
    output = open_folder(parameters.output)
    failures: dict[str, ManifestRow] = {}
    computed = 0
    for name in row_files:
        for row in read_rows(output, name):
            if row.status == "failed":
                failures[row.image] = row
            else:
                computed += 1

    def images() -> Iterator[tuple[ManifestRow, dict[str, Any] | None]]:
        # Read anew for each file that is written: masks of thousands of images fit no memory.
        for planned in read_plan(output, PLAN):
            content = read_done(output, planned.name, planned.fingerprint)
            yield _row(planned, content, failures), content

    metrics = RunMetrics()
    with _writing(output, MANIFEST, "application/jsonl") as file:
        for row, content in images():
            metrics.add(row, content)
            file.write(row.to_line())
    figures = metrics.to_json(engine)
    write_json(output, METRICS, figures)
    with _writing(output, ANNOTATIONS, "application/json") as file:
        write_annotations(file, (content for _, content in images() if content is not None))
    with _writing(output, MARKDOWN, "text/markdown") as file:
        write_markdown(file, figures, images(), parameters.max_masks)
    with _writing(output, HTML, "text/html") as file:
        write_html(file, output, figures, images(), parameters.max_masks)
    return RunSummary(
        images=metrics.images,
        failed=metrics.failed,
        computed=computed,
        masks=metrics.masks,
        report=output.uri_of(HTML),
        too_many_failed=metrics.failed > parameters.max_failed * metrics.images,
    )


def _row(
    planned: PlannedImage, content: dict[str, Any] | None, failures: dict[str, ManifestRow]
) -> ManifestRow:
    if content is not None:
        return done_row(planned, content)
    missing = ManifestRow(
        image=planned.name, status="failed", reason=_NEVER_RUN, digest=planned.digest
    )
    return failures.get(planned.name, missing)


class _writing:
    """A text file that appears in the output only when it is complete."""

    def __init__(self, output: Folder, name: str, content_type: str) -> None:
        self._finish: Callable[[Path], None] = lambda path: output.write_from(
            name, path, content_type
        )

    def __enter__(self) -> IO[str]:
        self._scratch = tempfile.TemporaryDirectory(prefix="sam-report-")
        self._path = Path(self._scratch.name, "file")
        self._file = self._path.open("w", encoding="utf-8")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        self._file.close()
        try:
            if kind is None:
                self._finish(self._path)
        finally:
            self._scratch.cleanup()
