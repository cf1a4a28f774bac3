"""``sam-vertex image``: build the container image and push it to Artifact Registry."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from scripts.cloud import deployment
from scripts.cloud.saved_settings import save_setting
from scripts.commands import options
from scripts.container.build import build_image
from scripts.container.registry import BuilderChoice
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import reporting_errors

app = CommandGroup(help="The container image of serving and pipeline.")


@app.callback()
def _group() -> None:
    """The container image of serving and pipeline."""


@app.command(epilog="sam-vertex image build --via docker")
def build(
    via: Annotated[
        BuilderChoice, typer.Option(help="What builds: docker, cloud-build, or what is here.")
    ] = "auto",
    platform: Annotated[str, typer.Option(help="Platform of the image.")] = "linux/amd64",
    save: options.Save = True,
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Build the image, push it, and print its digest, by which everything refers to it.

    The tag is the git revision; the tag also says whether the working tree differs from it.
    """
    with reporting_errors(debug):
        built = build_image(outputs, choice=via, platform=platform)
        note = f"use it:  export SAM_IMAGE={built.image}"
        if save:
            project_id = deployment.Deployment.from_outputs(outputs).project_id
            note = save_setting(outputs, project_id, "image", built.image)
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(built)))
        else:
            typer.echo(f"{built.image}\n{note}")
