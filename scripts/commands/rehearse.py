"""``sam-vertex rehearse``: the whole journey in a local cloud, from deploy to destroy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scripts.commands import options
from scripts.rehearsal.journey import Journey
from scripts.terminal.errors import reporting_errors
from scripts.terminal.interruptions import NOT_RESUMED

EXAMPLE = "sam-vertex rehearse --output rehearsal/"


def rehearse(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Local folder that keeps report, predictions and logs."
        ),
    ] = Path("rehearsal"),
    new_project: Annotated[
        bool,
        typer.Option(
            "--new-project/--used-project",
            help="Whether the project was made today: no service agents, one GPU of each quota.",
        ),
    ] = True,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Rehearse it all on this machine: deploy, release, predict, run, report, destroy.

    The real cdktf, Terraform, SDKs, Kubeflow and model server work against stand-ins of Google
    Cloud; no account and no network are needed. What is left is OUTPUT; an interruption leaves
    nothing running either.
    """
    with reporting_errors(debug, NOT_RESUMED):
        summary = Journey(output, new_project=new_project).run()
        if as_json:
            typer.echo(json.dumps(summary))
            return
        typer.echo(
            f"rehearsed in {summary['seconds']:.0f} s: {summary['resources']} resources deployed "
            f"and destroyed, {summary['images']} images segmented, nothing left"
        )
        typer.echo(f"report: {summary['report']}")
