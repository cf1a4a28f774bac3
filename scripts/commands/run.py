"""``sam-vertex run``: the pipeline over files and folders, here or on Vertex AI."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.checkpoints.cache import resolve_checkpoint
from scripts.checkpoints.choice import DEMO_NETWORK, best_checkpoint, choose_checkpoint
from scripts.cloud import deployment
from scripts.commands import options
from scripts.runs import expectation
from scripts.terminal import progress
from scripts.terminal.amounts import duration
from scripts.terminal.errors import OperatorError, reporting_errors
from scripts.terminal.progress import report_line

if TYPE_CHECKING:
    from pipeline.run.input_images import InputImage
    from pipeline.run.parameters import RunParameters
    from scripts.costs.estimates import Estimate
    from scripts.runs.summary import Summary

    Agreement = Callable[[list[InputImage], Estimate | None], None]

EXAMPLES = (
    "sam-vertex run photos/ --output out/\n"
    "sam-vertex run a.jpg b.png --prompts prompts.json --output out/\n"
    "sam-vertex run gs://BUCKET/batch-prediction-images --engine vertex --shards 4 "
    "--checkpoint vit_b --output gs://BUCKET/pipeline/run-1\n"
    "sam-vertex run --attach sam-20261122-101500-3fa9c1"
)


def run(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Images and folders, local or gs://."),
    ] = None,
    output: options.Output = "",
    prompts: options.Prompts = "",
    engine: options.Engine = "local",
    checkpoint: options.Checkpoint = "",
    family: options.Family = "",
    shards: options.Shards = 1,
    max_masks: options.MaxMasks = 10,
    pictures: options.PicturesName = None,
    precision: options.PrecisionName = "auto",
    window: options.Window = "",
    points_per_side: options.PointsPerSide = None,
    pred_iou_thresh: Annotated[
        float | None,
        typer.Option(
            help="Lowest predicted IoU of a mask; default: the checkpoint's own.", min=0, max=1
        ),
    ] = None,
    stability_score_thresh: Annotated[
        float | None,
        typer.Option(
            help="Lowest stability of a mask; default: the checkpoint's own.", min=0, max=1
        ),
    ] = None,
    max_failed: options.MaxFailed = "0.5",
    only_failed: Annotated[
        bool, typer.Option("--only-failed", help="Only the images in OUTPUT/failed.jsonl.")
    ] = False,
    attach: Annotated[
        str,
        typer.Option(
            help="Name of a submitted run to follow.", rich_help_panel=options.VERTEX_PANEL
        ),
    ] = "",
    detach: Annotated[
        bool,
        typer.Option(
            "--detach",
            help="Submit the run, print its name and end.",
            rich_help_panel=options.VERTEX_PANEL,
        ),
    ] = False,
    parallel: options.Parallel = 1,
    accelerator: options.Accelerator = "",
    capacity: options.CapacityName = "standard",
    image: options.StepsImage = "",
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Segment every image of INPUT and write masks, pictures and a report to OUTPUT.

    A second run over the same OUTPUT does only what is left. An image that cannot be read is
    reported, not fatal. Killing the run at any moment loses at most the image in hand. A run on
    Vertex AI goes on without this command: leave it with Ctrl-C and join again with --attach.
    """
    with reporting_errors(debug), progress.quiet(quiet):
        vertex_options: dict[str, object] = {
            "--detach": detach,
            "--parallel": parallel != 1,
            "--image": image,
            "--accelerator": accelerator,
            "--capacity": capacity != "standard",
        }
        if attach:
            reason = "--attach follows a run as it was submitted"
            options.refuse(reason, {**vertex_options, "INPUT": inputs}, "run")
            _print(_attached(attach, outputs), as_json)
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
            checkpoint=_checkpoint(checkpoint, engine),
            family=family,
            shards=shards,
            max_masks=max_masks,
            pictures=pictures or "",
            precision=precision,
            window=window,
            points_per_side=points_per_side,
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            max_failed=parse_max_failed(max_failed),
            only_failed=only_failed,
        )
        if engine == "local":
            options.refuse("these are for --engine vertex", vertex_options, "run")
            offer = not (checkpoint or as_json or yes or dry_run)
            agree = _agreement(dry_run=dry_run, yes=yes, as_json=as_json)
            _print(_run_here(parameters, debug, agree, offer=offer, dry=dry_run), as_json)
            return
        from scripts.runs.following import follow
        from scripts.runs.submission import submit_run

        submitted = submit_run(
            parameters,
            outputs=outputs,
            image=image,
            parallel=parallel or shards,
            accelerator=options.accelerator_name(accelerator),
            capacity=capacity,
            agree=_agreement(dry_run=dry_run, yes=yes, as_json=as_json),
        )
        if detach:
            run_id = submitted.parameters.run_id
            typer.echo(json.dumps({"run": run_id}) if as_json else run_id)
            return
        _print(follow(submitted), as_json)


def _checkpoint(name: str, engine: options.EngineName) -> str:
    """What a run computes with, before anybody is asked."""
    if engine == "vertex":
        return name or DEMO_NETWORK
    return resolve_checkpoint(name or best_checkpoint())


def _agreement(*, dry_run: bool, yes: bool, as_json: bool) -> Agreement:
    """What is asked, or told in a dry run, when a run is known and has not begun."""

    def agree(images: list[InputImage], estimated: Estimate | None) -> None:
        if not dry_run:
            expectation.agree(estimated, yes=yes)
            return
        if as_json:
            typer.echo(json.dumps(expectation.plan_json(images, estimated)))
        else:
            typer.echo("\n".join(expectation.plan_lines(images, estimated)))
        raise typer.Exit

    return agree


def _run_here(
    parameters: RunParameters, debug: bool, agree: Agreement, *, offer: bool, dry: bool
) -> Summary:
    from scripts.runs.local import run_here
    from scripts.runs.preflight import check_run

    checked = check_run(parameters, dry=dry)
    if offer:
        checkpoint = resolve_checkpoint(choose_checkpoint())
        parameters = dataclasses.replace(parameters, checkpoint=checkpoint)
    estimated = expectation.expect_here(parameters, checked.images, checked.finished)
    agree(checked.images, estimated)
    if estimated is not None:
        report_line(f"estimate: {duration(estimated.seconds)} ({estimated.basis})")
        parameters = dataclasses.replace(parameters, forecast=estimated.to_json())
    return run_here(parameters, show_log=debug)


def _attached(run: str, outputs: Path) -> Summary:
    from scripts.runs.following import follow
    from scripts.runs.vertex_runs import VertexRuns

    return follow(VertexRuns(deployment.Deployment.from_outputs(outputs)).find(run))


def _print(summary: Summary, as_json: bool) -> None:
    from scripts.runs.summary import describe, refuse_too_many_failed

    typer.echo(json.dumps(summary) if as_json else describe(summary))
    refuse_too_many_failed(summary)
