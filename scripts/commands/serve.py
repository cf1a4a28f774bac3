"""``sam-vertex serve``: the container's own model server on this machine."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated

import typer

from scripts.checkpoints.cache import resolve_checkpoint
from scripts.checkpoints.choice import choose_checkpoint
from scripts.commands import options
from scripts.terminal.errors import CLOUD, OperatorError, reporting_errors
from serving.sam.families.table import find_family
from serving.sam.known_checkpoints import find_entry
from serving.storage import SCHEME

EXAMPLE = "sam-vertex serve --checkpoint vit_b --port 8080"


def serve(
    checkpoint: Annotated[
        str,
        typer.Option(
            help="Name ('sam-vertex checkpoint list'), file, or gs:// folder; default: the best "
            "that is on this machine."
        ),
    ] = "",
    family: options.Family = "",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8080,
    host: Annotated[
        str, typer.Option(help="Address to listen on; the default is this machine only.")
    ] = "127.0.0.1",
    precision: options.PrecisionName = "auto",
    debug: options.Debug = False,
) -> None:
    """Run the model server that the container runs, until Ctrl-C.

    http://HOST:PORT says what it is. Requests go to /predict; /health says 200 when the model is
    loaded, /metrics shows counters.
    """
    with reporting_errors(debug):
        checkpoint = checkpoint or choose_checkpoint()
        os.environ["AIP_STORAGE_URI"] = _storage_uri(resolve_checkpoint(checkpoint))
        listener = _bound(host, port)  # first: loading a model for a used port is in vain
        os.environ["AIP_HTTP_PORT"] = str(port)
        os.environ["SERVING_PRECISION"] = precision
        if family:
            os.environ["SERVING_FAMILY"] = find_family(family).name
        os.environ.setdefault("SERVING_TIMEOUT_SECONDS", "600")
        typer.echo(f"serving {checkpoint} at http://{host}:{port}/predict (Ctrl-C ends)", err=True)
        from serving.server import main  # loads the SDK; not for --help

        try:
            failed = main(host, listener)
        except KeyboardInterrupt:
            typer.echo("stopped", err=True)
            return
        if failed:
            raise OperatorError(
                "the model server ended", hint="its log above says why", exit_code=CLOUD
            )


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens at the address.

    Raises:
        OperatorError: another program listens there, or the address is not this machine's.
    """
    try:
        return socket.create_server((host, port), backlog=2048)
    except OSError as error:
        # create_server puts the address into the text, as Python writes it.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise OperatorError(
            f"cannot listen at {host}:{port}: {reason}",
            hint="choose another --port, or end the program that uses this one",
        ) from error


def _storage_uri(source: str) -> str:
    """Where the server reads a checkpoint that is a file, a URI or the name of an embedded one."""
    entry = find_entry(source)
    if entry is not None and entry.name == source and entry.embedded_path is not None:
        return str(entry.embedded_path)
    if not source.startswith(SCHEME) and not Path(source).exists():
        raise OperatorError(f"{source}: no such checkpoint", hint="sam-vertex checkpoint list")
    return source
