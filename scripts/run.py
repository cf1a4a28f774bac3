"""``sam-vertex run``: the pipeline over files and folders."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from scripts.checkpoint_cache import checkpoint_place
from scripts.console import CLOUD, Meter, OperatorError, meter, operator_error, reporting_errors
from serving.sam.engine import Precision

if TYPE_CHECKING:
    from pipeline.parameters import RunParameters

EXAMPLES = (
    "Examples: sam-vertex run photos/ --output out/ | "
    "sam-vertex run a.jpg b.png --prompts prompts.json --output out/ | "
    "sam-vertex run gs://bucket/images --checkpoint vit_b --output gs://bucket/run-1"
)
EngineName = Literal["local"]
_POLL_SECONDS = {"local": 0.3, "bucket": 5.0}


def run(
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT", help="Images and folders, local or gs://.")
    ],
    output: Annotated[str, typer.Option(help="Folder for the results, local or gs://.")],
    prompts: Annotated[
        str, typer.Option(help="JSON file with points and boxes for some of the images.")
    ] = "",
    engine: Annotated[
        EngineName, typer.Option(help="Where to run: local is Kubeflow on this machine.")
    ] = "local",
    checkpoint: Annotated[
        str, typer.Option(help="Name (vit_tiny, vit_b, vit_l, vit_h), file or gs:// URI.")
    ] = "vit_tiny",
    shards: Annotated[int, typer.Option(help="Pieces the images are split into.")] = 1,
    max_masks: Annotated[int, typer.Option(help="Segments shown for each image.")] = 10,
    precision: Annotated[
        Precision, typer.Option(help="auto is exact on a CPU and fast on a GPU.")
    ] = "auto",
    points_per_side: Annotated[
        int | None, typer.Option(help="Grid of automatic prompts; default: the checkpoint's own.")
    ] = None,
    pred_iou_thresh: Annotated[
        float | None, typer.Option(help="Lowest predicted IoU of a mask, 0-1; likewise.")
    ] = None,
    stability_score_thresh: Annotated[
        float | None, typer.Option(help="Lowest stability of a mask, 0-1; likewise.")
    ] = None,
    max_failed: Annotated[
        float, typer.Option(help="Largest share of images (0-1) that may fail.")
    ] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
    debug: Annotated[bool, typer.Option(help="Print tracebacks and the pipeline's log.")] = False,
) -> None:
    """Segment every image of INPUT and write masks, pictures and a report to OUTPUT.

    A second run over the same OUTPUT does only what is left. An image that cannot be read is
    reported, not fatal. Killing the run at any moment loses at most the image in hand.
    """
    with reporting_errors(debug):
        from pipeline.parameters import RunParameters

        parameters = RunParameters(
            inputs=tuple(inputs),
            output=output,
            prompts=prompts,
            checkpoint=checkpoint_place(checkpoint),
            shards=shards,
            max_masks=max_masks,
            precision=precision,
            points_per_side=points_per_side,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            max_failed=max_failed,
        )
        _check(parameters)
        summary = _run_locally(parameters, debug)
        _say(summary, as_json)


def _check(parameters: RunParameters) -> None:
    """Refuse what can be refused before anything is written or computed."""
    from pipeline.checkpoint import check_checkpoint
    from pipeline.inputs import find_images
    from pipeline.storage import LocalFolder, open_folder

    find_images(parameters)
    check_checkpoint(parameters.checkpoint)
    output = open_folder(parameters.output)
    if isinstance(output, LocalFolder):
        try:
            output.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=output.path):
                pass
        except OSError as error:
            raise OperatorError(
                f"cannot write to {output.path}: {error.strerror or error}",
                hint="choose another --output, or make that folder writable",
            ) from error


def _run_locally(parameters: RunParameters, debug: bool) -> dict[str, Any]:
    from pipeline.local_engine import StepError, run_locally

    started = time.monotonic()
    with tempfile.TemporaryFile("w+", prefix="sam-run-", encoding="utf-8") as log:
        try:
            with meter("segmenting") as bar, _following(parameters, bar):
                summary = run_locally(parameters, log)
        except StepError as error:
            raise operator_error(error.kind, str(error)) from error
        finally:
            if debug:
                log.seek(0)
                typer.echo(log.read(), err=True)
    summary["wall_seconds"] = round(time.monotonic() - started, 2)
    return summary


class _following:
    """Move a meter while the steps run in their own processes."""

    def __init__(self, parameters: RunParameters, bar: Meter) -> None:
        self._parameters, self._bar = parameters, bar
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="progress", daemon=True)
        self._started: tuple[float, int] | None = None
        self._shown = -1

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _follow(self) -> None:
        from pipeline.storage import LocalFolder, open_folder

        folder = open_folder(self._parameters.output)
        local = isinstance(folder, LocalFolder)
        while not self._stop.wait(_POLL_SECONDS["local" if local else "bucket"]):
            self._show(folder)
        self._show(folder)

    def _show(self, folder: Any) -> None:
        from pipeline.manifest import read_progress
        from pipeline.storage import StorageError

        try:
            progress = read_progress(folder, self._parameters.shards)
        except (StorageError, ValueError, KeyError):  # the next look will do
            return
        seen = progress.done + progress.failed
        if not progress.total or seen == self._shown:
            return
        self._shown = seen
        if self._started is None and seen:
            self._started = (time.monotonic(), seen)
        note = f"{progress.masks} masks"
        if self._started and seen > self._started[1]:
            pace = (seen - self._started[1]) / (time.monotonic() - self._started[0])
            left = (progress.total - seen) / pace
            note = f"{pace:.2f} images/s, {note}, {left:.0f} s left"
        if progress.failed:
            note += f", {progress.failed} failed"
        self._bar.update(seen, progress.total, note)


def _say(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        done = summary["images"] - summary["failed"]
        computed = summary["computed"]
        earlier = done - computed
        typer.echo(
            f"{summary['images']} images: {done} done"
            + (f" ({earlier} by an earlier run)" if earlier else "")
            + f", {summary['failed']} failed, {summary['masks']} masks, "
            f"{summary['wall_seconds']:.1f} s"
        )
        if summary["failed"]:
            where = Path(summary["report"]).with_name("manifest.jsonl")
            typer.echo(f"failed images and reasons: {where}")
        typer.echo(f"report: {summary['report']}")
    if summary["too_many_failed"]:
        raise OperatorError(
            f"{summary['failed']} of {summary['images']} images failed, more than --max-failed",
            hint="the report names each reason; mend the images and run again",
            exit_code=CLOUD,
        )
