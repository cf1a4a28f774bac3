"""``sam-vertex doctor``: is everything there, and how to fix what is not."""

from __future__ import annotations

import dataclasses
import json

import typer

from scripts.cloud import deployment
from scripts.commands import options
from scripts.prerequisites.checks import findings
from scripts.prerequisites.findings import Finding, Part
from scripts.terminal.errors import OperatorError, reporting_errors
from scripts.terminal.interruptions import NOT_RESUMED

_TITLES: dict[Part, str] = {
    "this machine": "what a run on this machine needs",
    "Google Cloud": "what Google Cloud needs",
}
EXAMPLES = "sam-vertex doctor --outputs outputs.json"


def doctor(
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Check what a run on this machine needs, and what Google Cloud needs.

    Of Google Cloud: tools, settings, credentials, and the project's billing, APIs, GPU quotas and
    Workbench. That part counts once SAM_PROJECT_ID is set or something is deployed. Says how to
    fix what is wrong.
    """
    with reporting_errors(debug, NOT_RESUMED):
        listed: list[Finding] = []
        for finding in findings(outputs):
            if not as_json:
                if not listed or finding.part != listed[-1].part:
                    typer.echo(_TITLES[finding.part])
                _print(finding)
            listed.append(finding)
        if as_json:
            typer.echo(json.dumps([dataclasses.asdict(finding) for finding in listed], indent=2))
        bad = [finding.check for finding in listed if finding.bad]
        if bad:
            raise OperatorError(
                f"to be fixed: {', '.join(bad)}", hint="the lines above say how to fix each"
            )


def _print(finding: Finding) -> None:
    typer.echo(f"  {finding.status:8} {finding.check:19} {finding.message}")
    if finding.hint:
        typer.echo(f"  {'':8} {'':19} hint: {finding.hint}")
