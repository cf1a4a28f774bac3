"""``sam-vertex run``: the pipeline over files and folders, here or on Vertex AI."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.checkpoints.cache import checkpoint_place
from scripts.cloud import deployment
from scripts.commands import options
from scripts.terminal.errors import CLOUD, OperatorError, as_operator_error, reporting_errors
from scripts.terminal.progress import meter

if TYPE_CHECKING:
    from pipeline.run.input_images import InputImage
    from pipeline.run.parameters import RunParameters

EXAMPLES = (
    "Examples: sam-vertex run photos/ --output out/ | "
    "sam-vertex run a.jpg b.png --prompts prompts.json --output out/ | "
    "sam-vertex run gs://BUCKET/batch-prediction-images --engine vertex --shards 4 "
    "--checkpoint vit_b --output gs://BUCKET/pipeline/run-1 | "
    "sam-vertex run --attach sam-20261122-101500-3fa9c1"
)


def run(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT...", help="Images and folders, local or gs://."),
    ] = None,
    output: options.Output = "",
    prompts: options.Prompts = "",
    engine: options.Engine = "local",
    checkpoint: options.Checkpoint = "vit_tiny",
    shards: options.Shards = 1,
    max_masks: options.MaxMasks = 10,
    precision: options.PrecisionName = "auto",
    points_per_side: options.PointsPerSide = None,
    pred_iou_thresh: Annotated[
        float | None, typer.Option(help="Lowest predicted IoU of a mask, 0-1; likewise.")
    ] = None,
    stability_score_thresh: Annotated[
        float | None, typer.Option(help="Lowest stability of a mask, 0-1; likewise.")
    ] = None,
    max_failed: options.MaxFailed = "0.5",
    only_failed: Annotated[
        bool, typer.Option("--only-failed", help="Only the images in OUTPUT/failed.jsonl.")
    ] = False,
    attach: Annotated[
        str,
        typer.Option(help="Follow a run that was submitted.", rich_help_panel=options.VERTEX_PANEL),
    ] = "",
    detach: Annotated[
        bool,
        typer.Option("--detach", help="Submit and leave.", rich_help_panel=options.VERTEX_PANEL),
    ] = False,
    parallel: options.Parallel = 0,
    accelerator: options.Accelerator = "",
    image: options.StepsImage = "",
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Segment every image of INPUT and write masks, pictures and a report to OUTPUT.

    A second run over the same OUTPUT does only what is left. An image that cannot be read is
    reported, not fatal. Killing the run at any moment loses at most the image in hand. A run on
    Vertex AI goes on without this command, which can be left with Ctrl-C and joined again.
    """
    with reporting_errors(debug):
        there = {"--detach": detach, "--parallel": parallel, "--image": image}
        there["--accelerator"] = accelerator
        if attach:
            _refuse("--attach follows a run as it was submitted", {**there, "INPUT": inputs})
            _say(_attached(attach, outputs), as_json)
            return
        if not inputs or not output:
            raise OperatorError(
                f"missing {'INPUT' if not inputs else '--output'}", hint="sam-vertex run --help"
            )
        from pipeline.run.parameters import RunParameters, parse_max_failed

        parameters = RunParameters(
            inputs=tuple(inputs),
            output=output,
            prompts=prompts,
            checkpoint=checkpoint if engine == "vertex" else checkpoint_place(checkpoint),
            shards=shards,
            max_masks=max_masks,
            precision=precision,
            points_per_side=points_per_side,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            max_failed=parse_max_failed(max_failed),
            only_failed=only_failed,
        )
        if engine == "local":
            _refuse("these are for --engine vertex", there)
            check(parameters)
            _say(run_here(parameters, debug=debug), as_json)
            return
        summary = run_on_vertex(
            parameters,
            outputs=outputs,
            image=image,
            parallel=parallel or shards,
            accelerator=accelerator or "NVIDIA_TESLA_T4",
            detach=detach,
        )
        if summary is not None:
            _say(summary, as_json)


def _refuse(reason: str, options: dict[str, object]) -> None:
    """Refuse options that would be ignored."""
    given = [name for name, value in options.items() if value]
    if given:
        raise OperatorError(f"{', '.join(given)}: {reason}", hint="sam-vertex run --help")


def check(parameters: RunParameters) -> list[InputImage]:
    """Refuse what can be refused before anything is written or computed; the images there are.

    Raises:
        RunError, SamError, StorageError: an input, the prompts or the checkpoint cannot be used.
        OperatorError: the output cannot be written.
    """
    from pipeline.run.checkpoint_source import check_checkpoint
    from pipeline.run.input_images import find_images
    from serving.storage import LocalFolder, open_folder

    images = find_images(parameters)
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
    return images


def run_here(parameters: RunParameters, *, debug: bool = False) -> dict[str, Any]:
    """Run on this machine with a meter; the summary.

    Raises:
        OperatorError: a step failed.
    """
    from pipeline.local_engine import StepError, run_locally
    from pipeline.run.manifest import read_json
    from pipeline.steps.write_report import METRICS
    from scripts.costs.throughput import remember
    from scripts.runs.following import RunMeter, following
    from serving.storage import LocalFolder, open_folder

    started = time.monotonic()
    output = open_folder(parameters.output)
    local = isinstance(output, LocalFolder)
    with tempfile.TemporaryFile("w+", prefix="sam-run-", encoding="utf-8") as log:
        try:
            with (
                meter("segmenting") as bar,
                following(RunMeter(output, parameters.shards, bar), local=local),
            ):
                summary = run_locally(parameters, log)
        except StepError as error:
            raise as_operator_error(error) from error
        finally:
            if debug:
                log.seek(0)
                typer.echo(log.read(), err=True)
    summary["wall_seconds"] = round(time.monotonic() - started, 2)
    metrics = read_json(output, METRICS)
    remember(metrics, f"local, {metrics['device']}")
    return summary


def run_on_vertex(
    parameters: RunParameters,
    *,
    outputs: Path,
    parallel: int,
    image: str = "",
    accelerator: str = "NVIDIA_TESLA_T4",
    detach: bool = False,
) -> dict[str, Any] | None:
    """Submit a run and follow it to its end; its summary, or ``None`` if it is left alone.

    Raises:
        OperatorError: something is wrong with it, or the job failed.
    """
    from pipeline.definition import Machine
    from scripts.runs.preparation import kind_of_machine, predict, prepare, run_image, say_estimate
    from scripts.runs.vertex_runs import VertexRuns

    runs = VertexRuns(deployment.Deployment.from_outputs(outputs))
    name = parameters.checkpoint
    place = runs.found.checkpoint_place(name)
    parameters = prepare(runs.found, dataclasses.replace(parameters, checkpoint=place))
    images = check(parameters)
    machine = Machine(accelerator="" if accelerator == "none" else accelerator)
    found = predict(parameters, images, machine, parallel, name)
    at_once = min(parallel, parameters.shards)
    say_estimate(found, at_once)
    forecast = {
        **found.to_json(),
        "machine": kind_of_machine(machine),
        "parallel": at_once,
    }
    parameters = dataclasses.replace(parameters, forecast=forecast)
    job = runs.submit(parameters, machine, run_image(outputs, image), parallel)
    typer.echo(f"submitted {parameters.run_id}", err=True)
    if detach:
        typer.echo(parameters.run_id)
        return None
    return runs.follow(job, parameters)


def _attached(name: str, outputs: Path) -> dict[str, Any]:
    from scripts.runs.vertex_runs import VertexRuns

    runs = VertexRuns(deployment.Deployment.from_outputs(outputs))
    return runs.follow(*runs.attach(name))


def _say(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary))
    else:
        done = summary["images"] - summary["failed"]
        earlier = done - summary["computed"]
        typer.echo(
            f"{summary['images']} images: {done} done"
            + (f" ({earlier} by an earlier run)" if earlier else "")
            + f", {summary['failed']} failed, {summary['masks']} masks, "
            f"{summary['wall_seconds']:.1f} s"
        )
        cost = summary.get("cost_usd")
        if cost:
            typer.echo(f"cost: ${cost['actual']:.2f}, estimated ${cost['estimated']:.2f}")
        if summary["failed"]:
            where = summary["report"].removesuffix("report.html")
            typer.echo(f"failed images and reasons: {where}failed.jsonl (--only-failed retries)")
        typer.echo(f"report: {summary['report']}")
    if summary["too_many_failed"]:
        raise OperatorError(
            f"{summary['failed']} of {summary['images']} images failed, more than --max-failed",
            hint="the report names each reason; mend the images and run again",
            exit_code=CLOUD,
        )
