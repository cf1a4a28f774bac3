"""``sam-vertex image``: build the container images and push them to Artifact Registry."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from scripts.cloud import deployment
from scripts.cloud.saved_settings import save_setting
from scripts.commands import options
from scripts.container.build import build_images
from scripts.container.registry import BuilderChoice
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import reporting_errors

app = CommandGroup(help="The container images of serving and pipeline.")


@app.callback()
def _group() -> None:
    """The container images of serving and pipeline."""


@app.command(epilog="sam-vertex image build --via docker")
def build(
    via: Annotated[
        BuilderChoice,
        typer.Option(help="What builds: docker, cloud-build, or (auto) docker where it is here."),
    ] = "auto",
    steps_as_root: Annotated[
        bool,
        typer.Option(
            "--steps-as-root", help="Run the steps as root, should /gcs refuse their user."
        ),
    ] = False,
    save: options.Save = True,
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Build the images of serving and steps, push them, and print their digests.

    What the registry has under this tree's tag is not built again. The tag is the git revision; it
    also says whether the working tree differs from that.
    """
    with reporting_errors(debug):
        built = build_images(outputs, choice=via, steps_as_root=steps_as_root)
        note = f"use it:  export SAM_IMAGE={built.image}"
        if save:
            project_id = deployment.Deployment.from_outputs(outputs).project_id
            note = save_setting(outputs, project_id, "image", built.image)
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(built)))
        else:
            typer.echo(f"{built.image}\nsteps:  {built.steps_image}\n{note}")
