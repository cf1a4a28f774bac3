"""``sam-vertex doctor``: is everything there, and how to fix what is not."""

from __future__ import annotations

import dataclasses
import json

import typer

from scripts.cloud import deployment
from scripts.commands import options
from scripts.prerequisites.checks import findings
from scripts.prerequisites.findings import Finding
from scripts.terminal.errors import OperatorError, reporting_errors

EXAMPLES = "sam-vertex doctor --outputs outputs.json"


def doctor(
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Check this machine, and the project: billing, APIs, GPU quotas, the Workbench.

    Says how to fix what is wrong.
    """
    with reporting_errors(debug):
        listed = []
        for finding in findings(outputs):
            listed.append(finding)
            if not as_json:
                _print(finding)
        if as_json:
            typer.echo(json.dumps([dataclasses.asdict(finding) for finding in listed], indent=2))
        bad = [finding.check for finding in listed if finding.bad]
        if bad:
            raise OperatorError(
                f"to be fixed: {', '.join(bad)}", hint="the lines above say how to fix each"
            )


def _print(finding: Finding) -> None:
    typer.echo(f"{finding.status:8} {finding.check:19} {finding.message}")
    if finding.hint:
        typer.echo(f"{'':8} {'':19} hint: {finding.hint}")
