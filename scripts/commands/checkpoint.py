"""``sam-vertex checkpoint``: list the known ones, fetch one, upload one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scripts.checkpoints.cache import checkpoint_table
from scripts.cloud import deployment
from scripts.cloud.saved_settings import save_setting
from scripts.commands import options
from scripts.terminal.amounts import amount
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import reporting_errors

app = CommandGroup(help="List, fetch and upload checkpoints.")


@app.command("list")
def list_checkpoints(as_json: options.AsJson = False) -> None:
    """Show the known checkpoints and which of them are on this machine."""
    rows = checkpoint_table()
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        typer.echo(f"{row['name']:10} {amount(row['size_bytes'], 'bytes'):>11}  {row['summary']}")
        typer.echo(f"{'':10} {row['licence']}; {row['path'] or 'not here'}")


@app.command("fetch", epilog="sam-vertex checkpoint fetch vit_b")
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mobile_sam, vit_b, vit_l or vit_h.")],
    to: Annotated[
        Path | None, typer.Option(help="File or folder; default: this user's cache.")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Download a published checkpoint, resuming where an earlier try broke off, and verify it."""
    with reporting_errors(debug):
        from scripts.checkpoints.fetch import fetch_checkpoint

        fetched = fetch_checkpoint(name, to)
        if fetched.embedded:
            typer.echo(f"{fetched.name} is part of this package: {fetched.path}")
        else:
            typer.echo(f"{fetched.name}: {fetched.path}")


@app.command("upload", epilog="sam-vertex checkpoint upload vit_b")
def upload(
    name: Annotated[str, typer.Argument(metavar="NAME", help="a known one, or a file.")],
    to: Annotated[
        str, typer.Option(help="gs:// folder; default: the deployment's sam-checkpoint.")
    ] = "",
    save: options.Save = True,
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Upload a checkpoint into a folder of its own in the bucket, verified by digest.

    One that is there already, with the same content, is not sent again.
    """
    with reporting_errors(debug):
        from scripts.checkpoints.upload import (
            possible_families,
            upload_checkpoint,
            usable_checkpoint,
        )

        path = usable_checkpoint(name)  # first: a wrong file needs no deployment to be named
        families = possible_families(path)
        deployed = None if to else deployment.Deployment.from_outputs(outputs)
        uploaded = upload_checkpoint(path, deployed.checkpoint_uri if deployed else to)
        note = f"use it:  export SAM_CHECKPOINT={uploaded.folder_uri}"
        if deployed and save:
            note = save_setting(outputs, deployed.project_id, "checkpoint", uploaded.folder_uri)
        if as_json:
            typer.echo(json.dumps({"checkpoint": uploaded.folder_uri, "sent": uploaded.sent}))
            return
        outcome = "uploaded" if uploaded.sent else "is there already"
        typer.echo(f"{uploaded.folder_uri}/{uploaded.file_name} {outcome}")
        typer.echo(note)
        if len(families) > 1:
            typer.echo(
                f"its weights may be of the family {' or '.join(families)}; a server starts with "
                "it once you say which: SAM_SERVING_FAMILY, or model release --family"
            )
