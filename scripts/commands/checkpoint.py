"""``sam-vertex checkpoint``: which checkpoints there are, and how to get one here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from scripts.checkpoints.cache import cached_path
from scripts.cloud import deployment
from scripts.commands import options
from scripts.terminal.errors import CLOUD, OperatorError, reporting_errors
from scripts.terminal.progress import meter
from serving.sam.checkpoints import CHECKPOINTS, find_entry

app = typer.Typer(
    no_args_is_help=True, help="List, fetch and upload checkpoints.", pretty_exceptions_enable=False
)


@app.command("list")
def list_checkpoints(
    as_json: options.AsJson = False,
) -> None:
    """Show the known checkpoints and which of them are on this machine."""
    rows = [
        {
            "name": entry.name,
            "file_name": entry.file_name,
            "size_bytes": entry.size_bytes,
            "sha256": entry.sha256,
            "path": str(cached_path(entry)) if cached_path(entry).exists() else None,
            "summary": entry.summary,
        }
        for entry in CHECKPOINTS.values()
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        here = row["path"] or "not here"
        typer.echo(f"{row['name']:9} {int(str(row['size_bytes'])) / 1e6:8.1f} MB  {row['summary']}")
        typer.echo(f"{'':9} {here}")


@app.command("fetch", epilog="Example: sam-vertex checkpoint fetch vit_b")
def fetch(
    name: Annotated[str, typer.Argument(help="vit_b, vit_l or vit_h.")],
    to: Annotated[
        Path | None, typer.Option(help="File or folder; default: this user's cache.")
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Download a published checkpoint, resuming where an earlier try broke off, and verify it."""
    with reporting_errors(debug):
        entry = find_entry(name)
        if entry is None:
            raise OperatorError(
                f"{name!r} is no known checkpoint", hint=f"known are {', '.join(CHECKPOINTS)}"
            )
        target = cached_path(entry) if to is None else to / entry.file_name if to.is_dir() else to
        if entry.url is None:
            typer.echo(f"{entry.name} lies in this package: {entry.embedded_path}")
            return
        from scripts.checkpoints.download import DownloadError, download

        try:
            with meter(f"fetching {entry.file_name}", unit="bytes") as bar:
                download(entry, target, bar)
        except DownloadError as error:
            raise OperatorError(str(error), hint=error.hint, exit_code=CLOUD) from error
        except OSError as error:
            raise OperatorError(
                f"cannot write {target}: {error.strerror or error}",
                hint="choose another place with --to",
            ) from error
        typer.echo(f"{entry.name}: {target}")


@app.command("upload", epilog="Example: sam-vertex checkpoint upload vit_b")
def upload(
    name: Annotated[str, typer.Argument(help="vit_tiny, vit_b, vit_l, vit_h, or a file.")],
    to: Annotated[
        str, typer.Option(help="gs:// folder; default: the deployment's sam-checkpoint.")
    ] = "",
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Upload a checkpoint into a folder of its own in the bucket, verified by digest.

    One that is there already, with the same content, is not sent again.
    """
    with reporting_errors(debug):
        from scripts.cloud.uploads import upload_file
        from serving.sam.checkpoints import check_file

        entry = find_entry(name)
        path = Path(name)
        if not path.exists() and entry is not None:
            path = entry.embedded_path or cached_path(entry)
            if not path.exists():
                raise OperatorError(
                    f"{name} is not on this machine", hint=f"sam-vertex checkpoint fetch {name}"
                )
        check_file(path, find_entry(path.name))
        parent = to or deployment.Deployment.from_outputs(outputs).checkpoint_uri
        folder = f"{parent.rstrip('/')}/{path.stem}"
        with meter(f"uploading {path.name}", unit="bytes") as bar:
            sent = upload_file(path, f"{folder}/{path.name}", bar)
        if as_json:
            typer.echo(json.dumps({"checkpoint": folder, "sent": sent}))
            return
        typer.echo(f"{folder}/{path.name} {'uploaded' if sent else 'is there already'}")
        typer.echo(f"use it:  export SAM_CHECKPOINT={folder}")
