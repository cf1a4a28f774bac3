"""``sam-vertex platform``: what Terraform calls for what its provider has no resource for."""

from __future__ import annotations

from typing import Annotated

import typer

from scripts.commands import options
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import reporting_errors

app = CommandGroup(help="What Terraform calls while it deploys and destroys.")
Project = Annotated[str, typer.Option(help="Google Cloud project.")]


@app.callback()
def _group() -> None:
    """What Terraform calls while it deploys and destroys."""


@app.command(
    "make-agent",
    epilog="sam-vertex platform make-agent aiplatform.googleapis.com --project my-project",
)
def make_agent(
    service: Annotated[str, typer.Argument(help="Such as aiplatform.googleapis.com.")],
    project: Project,
    debug: options.Debug = False,
) -> None:
    """Make the service agent of an API, or find the one that is there."""
    with reporting_errors(debug):
        from scripts.cloud import service_agents

        email = service_agents.make_agent(service, project)
        typer.echo(f"agent of {service}: {email or 'none in a local cloud'}")
