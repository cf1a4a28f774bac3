"""``sam-vertex images``: photographs into the bucket."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from scripts.cloud import deployment
from scripts.commands import options
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import OperatorError, reporting_errors
from scripts.terminal.progress import meter, report_line
from serving.sam.plain_text import count

app = CommandGroup(help="Upload images to the bucket.")


@app.callback()
def _group() -> None:
    """Images in the bucket."""


@app.command(epilog="sam-vertex images upload photos/")
def upload(
    inputs: options.Inputs,
    to: Annotated[
        str, typer.Option(help="gs:// folder; default: the deployment's batch-prediction-images.")
    ] = "",
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Upload image files under the names they have below INPUT.

    An image that is in the bucket with the same content is not sent again, so the same command
    resumes an upload that broke off.
    """
    with reporting_errors(debug):
        from pipeline.run.input_images import find_images
        from pipeline.run.parameters import RunParameters
        from scripts.cloud.uploads import upload_images
        from serving.storage import SCHEME, open_folder

        uri = to or deployment.Deployment.from_outputs(outputs).images_uri
        if not uri.startswith(SCHEME):
            raise OperatorError(f"{uri!r}: expected gs://bucket/folder", hint="--to gs://...")
        images = find_images(RunParameters(inputs=tuple(inputs), output=uri), report_line)
        folder = open_folder(uri)
        with meter("uploading") as bar:
            sent = upload_images(images, folder, bar)
        if as_json:
            typer.echo(json.dumps({"folder": uri, "images": len(images), "sent": sent}))
        else:
            typer.echo(f"{uri}: {count(sent, 'image')} sent, {len(images) - sent} there already")
