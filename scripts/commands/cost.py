"""``sam-vertex cost``: what a run will cost, what it did cost, what is left running."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.cloud import deployment
from scripts.commands import options
from scripts.costs.estimates import COORDINATORS_SECONDS, START_SECONDS, Work, estimate
from scripts.costs.prices import HOURS_A_MONTH, prices
from scripts.costs.throughput import throughput
from scripts.terminal.amounts import duration
from scripts.terminal.errors import OperatorError, reporting_errors

EXAMPLES = (
    "Examples: sam-vertex cost --images 1000 --shards 4 --checkpoint vit_b | "
    "sam-vertex cost --run gs://BUCKET/pipeline/run-1 | sam-vertex cost"
)
Row = dict[str, Any]


def cost(
    images: Annotated[int, typer.Option(help="Estimate a run over so many images.", min=0)] = 0,
    prompted: Annotated[
        float, typer.Option(help="Share of them that have prompts.", min=0, max=1)
    ] = 0.0,
    megapixels: Annotated[float, typer.Option(help="Average size of an image.", min=0.001)] = 1.0,
    checkpoint: Annotated[str, typer.Option(help="Its name.")] = "vit_b",
    shards: Annotated[int, typer.Option(help="Pieces.", min=1)] = 1,
    parallel: options.Parallel = 0,
    cpus: Annotated[int, typer.Option(help="CPUs of a shard's machine.", min=1)] = 4,
    accelerator: options.Accelerator = "",
    spot: Annotated[bool, typer.Option("--spot", help="As if machines were preemptible.")] = False,
    region: Annotated[
        str, typer.Option(help="Where it will run; one without prices is said.")
    ] = "",
    start_seconds: Annotated[
        float, typer.Option(help="Until a shard's machine computes.", min=0)
    ] = START_SECONDS,
    seconds_per_image: Annotated[
        float, typer.Option(help="What you measured, of a shard; else the best known.", min=0)
    ] = 0.0,
    run: Annotated[str, typer.Option(help="Predicted and actual of a run's OUTPUT.")] = "",
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Predict a run (--images), show what one took (--run), or what is deployed costs.

    Every figure comes from one dated table of list prices, scripts/costs/prices.json;
    SAM_PRICES names a file with your own.
    """
    with reporting_errors(debug):
        if run and images:
            raise OperatorError(
                "--images predicts a run, --run shows one that has ended", hint="give one of them"
            )
        if run:
            _say_run(run, as_json)
            return
        if not images:
            _say_deployed(outputs, as_json)
            return
        kind = options.accelerator_name(accelerator)
        hour = prices().shard_hour(cpus, kind, 1)
        if hour is None:
            raise OperatorError(
                f"no price is known of {cpus} CPUs with {kind}",
                hint="add pipeline_..._hour to a table of yours and name it in SAM_PRICES",
            )
        if spot:
            hour *= prices().usd["spot_share"]
        where = f"vertex, {kind or f'{cpus} CPUs'}"
        count = round(images * prompted)
        found = estimate(
            Work(
                automatic=images - count,
                prompted=count,
                megapixels=megapixels,
                shards=shards,
                parallel=parallel or shards,
            ),
            throughput(where, checkpoint, "automatic", seconds_per_image),
            throughput(where, checkpoint, "prompted", seconds_per_image),
            usd_per_shard_hour=hour,
            usd_per_run=prices().usd["pipeline_run"],
            start_seconds=start_seconds,
            coordinators_seconds=COORDINATORS_SECONDS,
        )
        notes = [found.basis]
        if region and region != prices().region:
            notes.append(f"prices of {region} are not in the table")
        if spot:
            notes.append("as if spot, which Kubeflow's components cannot ask for here")
        if as_json:
            content = {"images": images, "usd_per_image": found.usd / images, **found.to_json()}
            typer.echo(json.dumps({**content, "basis": "; ".join(notes)}))
            return
        typer.echo(
            f"{images} images: {duration(found.seconds)}, ${found.usd:.2f} "
            f"(${1000 * found.usd / images:.2f} for 1000 images), {shards} shards, "
            f"${hour:.3f} an hour each"
        )
        for note in notes:
            typer.echo(f"  {note}")


def _say_run(place: str, as_json: bool) -> None:
    from pipeline.run.manifest import read_json
    from pipeline.steps.write_report import METRICS
    from serving.storage import StorageError, open_folder

    folder = open_folder(place)
    try:
        metrics = read_json(folder, METRICS)
    except StorageError as error:
        raise OperatorError(
            f"{place} has no {METRICS}: {error}", hint="name the OUTPUT of a run that has ended"
        ) from error
    run, forecast, money = metrics["run"], metrics["forecast"], metrics["cost_usd"]
    content = {
        "images": metrics["images"],
        "computed": run["computed"],
        "seconds": {"predicted": forecast.get("seconds"), "actual": run["wall_seconds"]},
        "usd": {"predicted": money.get("estimated"), "actual": money.get("actual")},
        "basis": forecast.get("basis", ""),
    }
    if as_json:
        typer.echo(json.dumps(content))
        return
    typer.echo(f"{metrics['images']} images, {run['computed']} of them computed by the last run")
    typer.echo(f"{'':6} {'predicted':>12} {'actual':>12}")
    predicted = duration(forecast["seconds"]) if forecast else "-"
    typer.echo(f"{'time':6} {predicted:>12} {duration(run['wall_seconds']):>12}")
    shown = [f"${money[key]:.2f}" if key in money else "-" for key in ("estimated", "actual")]
    typer.echo(f"{'cost':6} {shown[0]:>12} {shown[1]:>12}")
    typer.echo("  actual: what the steps saw; the time until machines are up is billed too")
    if forecast:
        typer.echo(f"  {forecast['basis']}")


def _say_deployed(outputs: Path, as_json: bool) -> None:
    found = deployment.Deployment.from_outputs(outputs)
    rows = list(_deployed(found, outputs))
    if as_json:
        typer.echo(json.dumps({"rows": rows, "basis": prices().basis}))
        return
    typer.echo(f"{'what':46} {'$/hour':>9} {'$/month':>9}")
    for row in rows:
        hour, month = row["usd_an_hour"], row["usd_a_month"]
        shown = [f"{hour:9.3f}", f"{month:9.2f}"] if hour is not None else [f"{'?':>9}"] * 2
        typer.echo(f"{row['what']:46} {' '.join(shown)}  {row['note']}".rstrip())
    known = [row["usd_an_hour"] for row in rows if row["usd_an_hour"] is not None]
    typer.echo(f"{'together':46} {sum(known):9.3f} {sum(known) * HOURS_A_MONTH:9.2f}")
    typer.echo(f"  {prices().basis}")
    typer.echo("  a month has 730 hours; nothing bills after: cdktf destroy")


def _row(what: str, hour: float | None, note: str = "") -> Row:
    month = None if hour is None else round(hour * HOURS_A_MONTH, 2)
    shown = None if hour is None else round(hour, 5)
    return {"what": what, "usd_an_hour": shown, "usd_a_month": month, "note": note}


def _deployed(found: deployment.Deployment, outputs: Path) -> Iterator[Row]:
    """What bills, a row each."""
    usd = prices().usd
    bench = found.workbench_shape
    if bench:
        machine, kind = str(bench["machine"]), str(bench["accelerator"])
        hour = prices().workbench_hour(machine, kind)
        note = "while it runs; it stops when idle"
        yield _row(f"Workbench {found.workbench_name}, {machine}", hour, note)
        disks = int(bench["disk_gb"])
        yield _row(f"its disks, {disks} GB", disks * usd["disk_gb_month"] / HOURS_A_MONTH, "always")
    if found.endpoint_resource_name:
        yield from _models(outputs)
    size, count = _stored(found)
    hour = size / 1e9 * usd["storage_gb_month"] / HOURS_A_MONTH
    yield _row(f"bucket {found.bucket_name}, {count} objects", hour, f"{size / 1e9:.3f} GB")


def _models(outputs: Path) -> Iterator[Row]:
    from scripts.releases.release import Releases
    from scripts.releases.request import read_request
    from scripts.releases.versions import version_table

    rows = version_table(Releases(read_request(outputs)))
    deployed = [row for row in rows if row["deployed_model_ids"]]
    for row in deployed:
        note = f"{row['traffic_percent']} % of the traffic; bills whether it is asked or not"
        yield _row(f"deployed model, version {row['version']}", row["usd_an_hour"], note)
    if not deployed:
        yield _row("endpoint without a model", 0.0)


def _stored(found: deployment.Deployment) -> tuple[int, int]:
    """Bytes and number of the bucket's objects that are live."""
    from serving.storage import SCHEME, open_folder

    sizes = [file.size_bytes for file in open_folder(f"{SCHEME}{found.bucket_name}").files()]
    return sum(sizes), len(sizes)
