"""``sam-vertex model``: release a version, list them, go back, stop the bill."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from scripts.cloud.deployment import DEFAULT_PATH
from scripts.cloud.project_state import refuse_unready
from scripts.commands import options
from scripts.costs.prices import prices
from scripts.releases.quota import check_serving_quota
from scripts.releases.release import ReleaseResult, Releases
from scripts.releases.request import read_request
from scripts.releases.versions import version_table
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import reporting_errors
from scripts.terminal.progress import report_line

app = CommandGroup(help="The model on the endpoint: versions, traffic, cost.")


def _print_result(result: ReleaseResult, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(result)))
    else:
        outcome = "is live" if result.changed else "was live already"
        typer.echo(f"version {result.version} ({result.alias}) {outcome}")


@app.command(
    epilog="sam-vertex model release --image REGION-docker.pkg.dev/P/R/sam@sha256:... "
    "--checkpoint gs://BUCKET/sam-checkpoint/sam_vit_b_01ec64"
)
def release(
    image: Annotated[str, typer.Option(help="Image by digest; default: as deployed.")] = "",
    checkpoint: Annotated[
        str, typer.Option(help="gs:// checkpoint file, or folder with one; default: as deployed.")
    ] = "",
    family: Annotated[
        str, typer.Option(help="Family of the checkpoint's network; default: as deployed.")
    ] = "",
    in_place: Annotated[
        bool,
        typer.Option(help="Undeploy the old one first: an outage, but one accelerator is enough."),
    ] = False,
    outputs: options.Outputs = DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Upload a version if it is new, deploy it beside the current one, check it, shift traffic.

    Any failure leaves the version that served before serving. Running it again is safe.
    """
    with reporting_errors(debug):
        request = read_request(outputs, family=family, image=image, checkpoint=checkpoint)
        refuse_unready(request.project_id, ("aiplatform",), report_line)
        check_serving_quota(request, report_line)
        _print_result(Releases(request).release(in_place=in_place), as_json)


@app.command(epilog="sam-vertex model rollback")
def rollback(
    in_place: Annotated[
        bool, typer.Option(help="Undeploy the current one first, as in a release.")
    ] = False,
    outputs: options.Outputs = DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Serve the version that served before the last release; again: forward."""
    with reporting_errors(debug):
        _print_result(Releases(read_request(outputs)).rollback(in_place=in_place), as_json)


@app.command("list", epilog="sam-vertex model list --json")
def list_versions(
    outputs: options.Outputs = DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Show versions, what they are made of, their traffic, and what they cost an hour."""
    with reporting_errors(debug):
        rows = version_table(Releases(read_request(outputs)))
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
        if rows and not any(row["deployed_model_ids"] for row in rows):
            typer.echo("nothing serves; sam-vertex model release deploys the deployment's version")
        typer.echo(f"{prices().basis}; machines bill while deployed, asked or not")


@app.command(epilog="sam-vertex model undeploy")
def undeploy(outputs: options.Outputs = DEFAULT_PATH, debug: options.Debug = False) -> None:
    """Undeploy every version: nothing bills any more until 'model release' is asked for."""
    with reporting_errors(debug):
        count = Releases(read_request(outputs)).undeploy()
        typer.echo(f"{count} deployed models removed; the endpoint stays and costs nothing")


@app.command(hidden=True)
def teardown(outputs: options.Outputs = DEFAULT_PATH, debug: options.Debug = False) -> None:
    """Undeploy everything and delete the model; Terraform's destroy calls it."""
    with reporting_errors(debug):
        Releases(read_request(outputs)).teardown()
