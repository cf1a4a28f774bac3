"""Last step: the manifest, the COCO data set, the figures and the reports of a run.

The step reads every masks file once, some ahead of the image it works on, and keeps nothing but a
short row of each: a run of 100,000 images fits a small machine.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.ordered_map import ordered_map
from pipeline.report.coco import known_categories
from pipeline.report.data_set import DataSets
from pipeline.report.html import DATA, Gallery
from pipeline.report.markdown import MarkdownReport, in_bucket, relative
from pipeline.report.metrics import LastRun, RunMetrics
from pipeline.run.claim import release_claim
from pipeline.run.guarded_output import open_output
from pipeline.run.manifest import (
    LINES,
    ManifestRow,
    PlannedImage,
    read_done,
    read_json,
    read_plan,
    read_rows,
    write_json,
)
from pipeline.run.output_layout import (
    ANNOTATIONS,
    FAILED,
    HTML,
    MANIFEST,
    MARKDOWN,
    METRICS,
    PLAN,
    PLANNED,
    masks_name,
    shard_name,
    shard_rows_name,
    shard_summary_name,
)
from pipeline.run.parameters import RunParameters
from pipeline.run.reviewed import without_rejected
from pipeline.shard.image_outputs import done_row, failed_row
from serving.storage import SCHEME, WORK, Folder, open_folder

_NEVER_RUN = "not computed: its shard did not finish; run again"
_ROWS = ".rows.jsonl"
_CONSOLE_IMAGES = 20  # the artifact that the console shows is small


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


def write_report(
    parameters: RunParameters,
    row_files: Sequence[str],
    engine: str,
    artifact: str = "",
    *,
    output: Folder | None = None,
) -> RunSummary:
    """Gather what the shards left and write everything that describes the whole run.

    Args:
        parameters: the run.
        row_files: the manifests that the shards returned.
        engine: where it ran, ``local`` or ``vertex``.
        artifact: file that receives the Markdown report for the pipeline's console, with links
            that work there; empty for none.
        output: the output, opened by whoever has claimed it; ``None`` in a step of the graph.

    Raises:
        ClaimLostError: another run has taken over the output.
        StorageError: the output cannot be read or written.
    """
    output = output or open_output(parameters)
    failures, computed = _rows(output, row_files)
    metrics = RunMetrics()
    output.delete_folder(DATA)
    gallery = Gallery(output, sum(1 for _ in output.lines(PLAN)), parameters.max_masks)
    links = in_bucket(output.uri) if output.uri.startswith(SCHEME) else relative
    markdown = MarkdownReport(parameters.max_masks)
    shown = MarkdownReport(parameters.max_masks, links, _CONSOLE_IMAGES)
    with (
        output.writing(MANIFEST, LINES) as manifest,
        output.writing(FAILED, LINES) as quarantine,
        DataSets(output, known_categories(output)) as data_sets,
    ):
        for image, content, pictures in finished_images(output, gallery):
            row = _row(image, content, failures)
            line = row.to_line().encode()
            manifest.write(line)
            if content is None:
                quarantine.write(line)
            else:
                data_sets.add(content)
            metrics.add(row, content)
            gallery.add(row, content, pictures)
            markdown.add(row, content)
            shown.add(row, content)
        data_sets.close()
    figures = metrics.to_json(engine, _last_run(output, row_files, computed), parameters.forecast)
    figures |= {"output": output.uri, "finished": _now()}
    figures["settings"] = parameters.settings(metrics.images)
    figures["coco"] = ANNOTATIONS if data_sets.has_coco else ""
    write_json(output, METRICS, figures)
    output.write_bytes(MARKDOWN, markdown.text(figures).encode(), "text/markdown")
    output.write_bytes(HTML, gallery.page(figures), "text/html")
    if artifact:
        Path(artifact).write_text(shown.text(figures), "utf-8")
    if parameters.run_id:
        release_claim(open_folder(parameters.output), parameters.run_id)
    return RunSummary(
        images=metrics.images,
        failed=metrics.failed,
        computed=computed,
        masks=metrics.masks,
        report=output.uri_of(HTML),
        too_many_failed=parameters.too_many_failed(metrics.failed, metrics.images),
    )


def write_report_of_plan(parameters: RunParameters, engine: str, artifact: str = "") -> RunSummary:
    """:func:`write_report` over all shards of the plan, whoever ran them.

    Raises:
        ClaimLostError: another run has taken over the output.
        StorageError: the output cannot be read or written, or the rows of a shard are missing.
    """
    shards = read_json(open_folder(parameters.output), PLANNED)["shards"]
    rows = [shard_rows_name(shard_name(number)) for number in range(shards)]
    return write_report(parameters, rows, engine, artifact)


def _now() -> str:
    """The time in UTC, as the reports show it."""
    return datetime.datetime.now(datetime.UTC).isoformat(" ", "minutes").replace("+00:00", " UTC")


def _rows(output: Folder, row_files: Sequence[str]) -> tuple[dict[str, ManifestRow], int]:
    """The failed rows of the shards by image, and how many images they finished."""
    failures: dict[str, ManifestRow] = {}
    computed = 0
    for name in row_files:
        for row in read_rows(output, name):
            if row.status == "failed":
                failures[row.image] = row
            else:
                computed += 1
    return failures, computed


def finished_images(
    output: Folder, gallery: Gallery
) -> Iterator[tuple[PlannedImage, dict[str, Any] | None, list[str]]]:
    """Every planned image in order, with its masks and the pictures that the page will hold.

    Both are read ahead, as many images at once as the output has readers. Masks are ``None`` where
    there are none; those that somebody rejected are left out.
    """
    names = {file.name for file in output.files("masks/")}

    def read(image: PlannedImage) -> tuple[PlannedImage, dict[str, Any] | None, list[str]]:
        if masks_name(image.name) not in names:
            return image, None, []
        content = read_done(output, image.name, image.fingerprint)
        if content is None:  # whatever lies there must not count as done in the next run either
            output.delete(masks_name(image.name))
            return image, None, []
        content = without_rejected(content)
        return image, content, gallery.inline_pictures(image.name, content)

    return ordered_map(read, read_plan(output, PLAN), output.readers)


def _row(
    image: PlannedImage, content: dict[str, Any] | None, failures: dict[str, ManifestRow]
) -> ManifestRow:
    if content is not None:
        return done_row(image, content)
    return failures.get(image.name) or failed_row(image, _NEVER_RUN, "")


def _last_run(output: Folder, row_files: Sequence[str], computed: int) -> LastRun:
    shards = []
    for name in row_files:
        summary = shard_summary_name(name.removeprefix(f"{WORK}/").removesuffix(_ROWS))
        if output.exists(summary):
            shards.append(read_json(output, summary))
    started = read_json(output, PLANNED).get("started", 0.0) if output.exists(PLANNED) else 0.0
    return LastRun(computed, time.time() - started if started else 0.0, shards)


def summary_json(summary: RunSummary) -> str:
    """The summary as the graph's output."""
    return json.dumps(dataclasses.asdict(summary))
