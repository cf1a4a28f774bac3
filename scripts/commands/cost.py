"""``sam-vertex cost``: what a run will cost, what it did cost, what is left running."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.bills.deployment_costs import deployment_costs
from scripts.bills.run_costs import run_costs
from scripts.cloud import deployment
from scripts.commands import options
from scripts.costs.estimates import START_SECONDS, Estimate, Work
from scripts.costs.forecasts import ShardMachine, forecast_here, forecast_on_vertex
from scripts.costs.prices import HOURS_A_MONTH, prices
from scripts.costs.throughput import is_measured
from scripts.terminal.amounts import duration
from scripts.terminal.errors import OperatorError, reporting_errors
from scripts.terminal.interruptions import NOT_RESUMED
from scripts.terminal.usage import did_you_mean
from serving.sam.known_checkpoints import CHECKPOINTS, find_entry
from serving.sam.plain_text import count

if TYPE_CHECKING:
    from scripts.bills.run_costs import RunCosts

EXAMPLES = (
    "sam-vertex cost --images 1000 --shards 4 --checkpoint vit_b\n"
    "sam-vertex cost --images 1000 --engine local --checkpoint vit_tiny\n"
    "sam-vertex cost --run gs://BUCKET/pipeline/run-1\nsam-vertex cost"
)


def cost(
    images: Annotated[
        int | None, typer.Option(help="Estimate a run over this many images.", min=1)
    ] = None,
    prompted: Annotated[
        float, typer.Option(help="Share of them that have prompts.", min=0, max=1)
    ] = 0.0,
    megapixels: Annotated[float, typer.Option(help="Average size of an image.", min=0.001)] = 1.0,
    engine: options.Engine = "vertex",
    checkpoint: Annotated[str, typer.Option(help="Name of the checkpoint.")] = "vit_b",
    shards: Annotated[int, typer.Option(help="Parts that the images are split into.", min=1)] = 1,
    parallel: options.Parallel = 1,
    cpus: Annotated[int, typer.Option(help="CPUs of a shard's machine.", min=1)] = 4,
    accelerator: options.Accelerator = "",
    capacity: options.CapacityName = "standard",
    region: Annotated[
        str,
        typer.Option(help="Region of the run; a note says where the table has no prices for it."),
    ] = "",
    start_seconds: Annotated[
        float, typer.Option(help="Seconds until a shard's machine computes.", min=0)
    ] = START_SECONDS,
    seconds_per_image: Annotated[
        float,
        typer.Option(help="As you measured it; 0 takes the best known figure.", min=0),
    ] = 0.0,
    run: Annotated[str, typer.Option(help="OUTPUT of a run that has ended.")] = "",
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show the cost of what is deployed, of a run to come (--images) or of a past one (--run).

    The time of an image is the one that earlier runs took on the same machine, as remembered here;
    for Vertex AI it is the original's published figure where there was no such run.
    Every figure comes from one dated table of list prices, scripts/costs/prices.json;
    SAM_PRICES names a file with your own.
    """
    with reporting_errors(debug, NOT_RESUMED):
        if run and images:
            raise OperatorError(
                "--images predicts a run, --run shows one that has ended", hint="give one of them"
            )
        if run:
            _print_run(run_costs(run), as_json)
            return
        if not images:
            _print_deployment(outputs, as_json)
            return
        _check_known(checkpoint)
        with_prompts = round(images * prompted)
        work = Work(
            automatic=images - with_prompts,
            prompted=with_prompts,
            megapixels=megapixels,
            shards=shards,
            parallel=parallel or shards,
        )
        if engine == "local":
            ignored = {
                "--accelerator": accelerator,
                "--capacity": capacity != "standard",
                "--region": region,
            }
            options.refuse("these are for --engine vertex", ignored, "cost")
            estimate = forecast_here(work, checkpoint, seconds_per_image)
            _print_estimate(images, estimate, [], "on this machine", as_json)
            return
        machine = ShardMachine(
            cpus=cpus,
            accelerator=options.accelerator_name(accelerator),
            capacity=capacity,
            region=region,
            start_seconds=start_seconds,
        )
        estimate = forecast_on_vertex(work, checkpoint, machine, seconds_per_image)
        a_thousand = f" (${1000 * estimate.usd / images:.2f} for 1000)" if images != 1000 else ""
        where = (
            f"${estimate.usd:.2f}{a_thousand}, "
            f"{count(shards, 'shard')}, ${estimate.usd_per_shard_hour:.3f} an hour each"
        )
        _print_estimate(images, estimate, machine.reservations(), where, as_json)


def _check_known(checkpoint: str) -> None:
    """Refuse a misspelt name; a file of one's own is known once a run has measured it here.

    Raises:
        OperatorError: nobody knows a checkpoint of that name.
    """
    if find_entry(checkpoint) is None and not is_measured(checkpoint):
        raise OperatorError(
            f"no such checkpoint: {checkpoint!r}; no run with it was measured here either",
            hint=did_you_mean(checkpoint, CHECKPOINTS) or f"known are {', '.join(CHECKPOINTS)}",
        )


def _print_estimate(
    images: int, estimate: Estimate, notes: list[str], where: str, as_json: bool
) -> None:
    notes = [estimate.basis, *notes]
    if as_json:
        content = {"images": images, "usd_per_image": estimate.usd / images, **estimate.to_json()}
        typer.echo(json.dumps({**content, "basis": "; ".join(notes)}))
        return
    typer.echo(f"{count(images, 'image')}: {duration(estimate.seconds)}, {where}")
    for note in notes:
        typer.echo(f"  {note}")


def _print_run(costs: RunCosts, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(costs.to_json()))
        return
    typer.echo(f"{count(costs.images, 'image')}, {costs.computed} of them computed by the last run")
    typer.echo(f"{'':6} {'predicted':>12} {'actual':>12}")
    times = [
        "-" if seconds is None else duration(seconds)
        for seconds in (costs.seconds.predicted, costs.seconds.actual)
    ]
    typer.echo(f"{'time':6} {times[0]:>12} {times[1]:>12}")
    dollars = [
        "-" if usd is None else f"${usd:.2f}" for usd in (costs.usd.predicted, costs.usd.actual)
    ]
    typer.echo(f"{'cost':6} {dollars[0]:>12} {dollars[1]:>12}")
    typer.echo("  actual: what the steps saw; the time until machines are up is billed too")
    if costs.basis:
        typer.echo(f"  {costs.basis}")


def _print_deployment(outputs: Path, as_json: bool) -> None:
    rows = deployment_costs(outputs)
    if as_json:
        typer.echo(json.dumps({"rows": rows, "basis": prices().basis}))
        return
    typer.echo(f"{'what':46} {'$/hour':>9} {'$/month':>9}")
    for row in rows:
        hour, month = row["usd_an_hour"], row["usd_a_month"]
        figures = f"{'?':>9} {'?':>9}" if hour is None else f"{hour:9.3f} {month:9.2f}"
        typer.echo(f"{row['what']:46} {figures}  {row['note']}".rstrip())
    known = [row["usd_an_hour"] for row in rows if row["usd_an_hour"] is not None]
    typer.echo(f"{'together':46} {sum(known):9.3f} {sum(known) * HOURS_A_MONTH:9.2f}")
    typer.echo(f"  {prices().basis}")
    typer.echo("  a month has 730 hours; not in it: container images, logs, a key, jobs that run")
    typer.echo("  'npx cdktf destroy' takes it away, and says what it knows to bill after that")
