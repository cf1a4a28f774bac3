"""``sam-vertex model``: release a version, list them, go back, stop the bill."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.cloud import deployment
from scripts.commands import options
from scripts.costs.prices import prices
from scripts.releases.request import ReleasePlan
from scripts.terminal.errors import reporting_errors

PLAN = "SAM_VERTEX_RELEASE"  # the plan as JSON; Terraform sets it
EPOCH = "SAM_VERTEX_EPOCH"  # of the plan; Terraform knows it when it applies
app = typer.Typer(
    no_args_is_help=True,
    help="The model on the endpoint: versions, traffic, cost.",
    pretty_exceptions_enable=False,
)


def read_plan(outputs: Path, **changes: str) -> ReleasePlan:
    """The plan that Terraform handed over, or that of the outputs, with an operator's changes.

    Raises:
        OperatorError: there is none, or it is incomplete.
    """
    handed = os.environ.get(PLAN, "")
    if handed:
        values: dict[str, Any] = {**json.loads(handed), "epoch": os.environ.get(EPOCH, "")}
    else:
        values = dict(deployment.release_of(outputs))
    values |= {name: value for name, value in changes.items() if value}
    return ReleasePlan.from_json(values)


def _releases(plan: ReleasePlan) -> Any:
    from scripts.releases.release import Releases

    return Releases(plan, lambda line: typer.echo(line, err=True))


def _say(released: Any, as_json: bool) -> None:
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "version": released.version,
                    "alias": released.alias,
                    "deployed_model_id": released.deployed_model_id,
                    "changed": released.changed,
                }
            )
        )
    else:
        done = "is live" if released.changed else "was live already"
        typer.echo(f"version {released.version} ({released.alias}) {done}")


@app.command(
    epilog="Example: sam-vertex model release --image REGION-docker.pkg.dev/P/R/sam@sha256:... "
    "--checkpoint gs://BUCKET/sam-checkpoint/sam_vit_b_01ec64"
)
def release(
    image: Annotated[str, typer.Option(help="Image by digest; default: as deployed.")] = "",
    checkpoint: Annotated[
        str, typer.Option(help="gs:// checkpoint file, or folder with one; likewise.")
    ] = "",
    in_place: Annotated[
        bool,
        typer.Option(help="Undeploy the old one first: an outage, but one accelerator is enough."),
    ] = False,
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Upload a version if it is new, deploy it beside the current one, check it, shift traffic.

    Any failure leaves the version that served before serving. Running it again is safe.
    """
    with reporting_errors(debug):
        plan = read_plan(outputs, image=image, checkpoint=checkpoint)
        _say(_releases(plan).release(in_place=in_place), as_json)


@app.command(epilog="Example: sam-vertex model rollback")
def rollback(
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Serve the version that served before the last release; again: forward."""
    with reporting_errors(debug):
        _say(_releases(read_plan(outputs)).rollback(), as_json)


@app.command("list", epilog="Example: sam-vertex model list --json")
def list_versions(
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show versions, what they are made of, their traffic, and what they cost an hour."""
    with reporting_errors(debug):
        from scripts.releases.versions import listing

        rows = listing(_releases(read_plan(outputs)))
        if as_json:
            typer.echo(json.dumps(rows))
            return
        if not rows:
            typer.echo("no versions yet")
        for row in rows:
            price = row["usd_an_hour"]
            cost = "price unknown" if price is None else f"${price:.2f}/h"
            traffic = f"{row['traffic_percent']} % of traffic, {cost}"
            state = traffic if row["deployed_model_ids"] else "not deployed, $0.00/h"
            typer.echo(f"version {row['version']}  {', '.join(row['aliases'])}: {state}")
            typer.echo(f"    {row['checkpoint']} ({row['checkpoint_digest']}), {row['image']}")
        typer.echo(f"{prices().basis}; machines bill while deployed, asked or not")


@app.command(epilog="Example: sam-vertex model undeploy")
def undeploy(
    outputs: options.Outputs = deployment.DEFAULT_PATH, debug: options.Debug = False
) -> None:
    """Undeploy every version: nothing bills any more; 'model release' wakes the endpoint."""
    with reporting_errors(debug):
        count = _releases(read_plan(outputs)).undeploy()
        typer.echo(f"{count} deployed models removed; the endpoint stays and costs nothing")


@app.command(hidden=True)
def teardown(
    outputs: options.Outputs = deployment.DEFAULT_PATH, debug: options.Debug = False
) -> None:
    """Undeploy everything and delete the model; Terraform's destroy calls it."""
    with reporting_errors(debug):
        _releases(read_plan(outputs)).teardown()
