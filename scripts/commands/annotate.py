"""``sam-vertex annotate``: a local page to click masks, name them and judge a run's."""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.checkpoints.cache import resolve_checkpoint
from scripts.checkpoints.choice import DEMO_NETWORK, choose_checkpoint
from scripts.cloud.deployment import DEFAULT_PATH
from scripts.commands import options
from scripts.terminal.errors import OperatorError, reporting_errors
from scripts.terminal.progress import report_line
from serving.sam.machine.waiting_threads import set_waiting
from serving.sam.plain_text import count

if TYPE_CHECKING:
    from scripts.annotate.segmenters import Segmenter
    from serving.sam.machine.devices import Precision

EXAMPLES = (
    "sam-vertex annotate photos/ --output annotated/\n"
    "sam-vertex annotate gs://BUCKET/photos --output annotated/ --endpoint\n"
    "sam-vertex run photos/ --prompts annotated/prompts.json --output out/"
)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_DEMO = (
    "vit_tiny is a demonstration network; for real work: sam-vertex checkpoint fetch vit_b, "
    "then --checkpoint vit_b"
)


def annotate(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT", help="Images and folders, local or gs://."),
    ] = None,
    output: options.Output = "",
    checkpoint: options.CheckpointHere = "",
    family: options.Family = "",
    precision: options.PrecisionName = "auto",
    url: Annotated[
        str, typer.Option(help="A model server's address, to make the masks there.")
    ] = "",
    endpoint: Annotated[
        bool, typer.Option("--endpoint", help="Make the masks on the deployed endpoint.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port of the page.", min=0, max=65535)] = 8765,
    host: Annotated[
        str,
        typer.Option(help="Address to listen on; another than this machine's needs the token."),
    ] = "127.0.0.1",
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in the browser.")
    ] = True,
    outputs: options.Outputs = DEFAULT_PATH,
    debug: options.Debug = False,
) -> None:
    """Click, box, correct and name masks in a local page, or judge those of a run.

    Every accepted object is saved at once: OUTPUT/prompts.json for 'sam-vertex run --prompts',
    OUTPUT/masks as a run leaves them, OUTPUT/reviewed.jsonl with the verdicts; and shortly after
    in COCO form: OUTPUT/annotations.json. Where OUTPUT is a run's, the page shows its masks to
    accept, reject, name and correct. Ctrl-C ends the command.
    """
    set_waiting(os.environ)
    with reporting_errors(debug):
        if not inputs or not output:
            raise OperatorError(
                f"missing {'INPUT' if not inputs else '--output'}",
                hint="sam-vertex annotate --help",
            )
        if url or endpoint:
            here: dict[str, object] = {
                "--checkpoint": checkpoint,
                "--precision": precision != "auto",
                "--family": family,
                "--url": url and endpoint,
            }
            options.refuse("the masks are made elsewhere", here, "annotate")
        from pipeline.run.claim import PROCESS_SECONDS, claimed, name_of_process
        from pipeline.run.guarded_output import guarded
        from pipeline.run.input_images import find_images
        from pipeline.run.parameters import RunParameters
        from scripts.annotate.app import AnnotationServer
        from scripts.annotate.guard import Access
        from scripts.annotate.saved.store import AnnotationStore
        from scripts.annotate.server import Server, bind
        from scripts.annotate.shelf import ImageShelf
        from serving.storage import open_folder

        images = find_images(RunParameters(inputs=tuple(inputs), output=output), report_line)
        claim = name_of_process()
        with (
            bind(host, port) as listener,
            claimed(open_folder(output), claim),
            contextlib.ExitStack() as at_the_end,
        ):
            port = listener.getsockname()[1]
            if url or endpoint:
                segmenter, about = _elsewhere(url, outputs)
            else:
                source = resolve_checkpoint(checkpoint or choose_checkpoint())
                segmenter, about = _here(source, precision, family)
            store = AnnotationStore(guarded(output, claim, PROCESS_SECONDS), about)
            at_the_end.callback(store.close)
            warning = _DEMO if segmenter.name == DEMO_NETWORK else ""
            server = AnnotationServer(ImageShelf(images), store, segmenter, warning=warning)
            token = "" if host in LOOPBACK else secrets.token_urlsafe(24)
            name = f"[{host}]" if ":" in host else host
            address = f"http://{name}:{port}/" + (f"?token={token}" if token else "")

            def started() -> None:
                typer.echo(f"{count(len(images), 'image')} at {address} (Ctrl-C ends)", err=True)
                if not _has_screen():
                    tunnel = f"ssh -L {port}:127.0.0.1:{port}"
                    typer.echo(f"from your own machine: {tunnel} and this one's name", err=True)
                elif open_page:
                    webbrowser.open(address)

            with contextlib.suppress(KeyboardInterrupt):
                Server(server.app(Access(port=port, token=token)), started).run([listener])
        typer.echo(f"saved in {output}", err=True)
        if server.is_busy:
            # Python would end the thread inside PyTorch, which aborts the process.
            sys.stderr.flush()
            os._exit(0)


def _has_screen() -> bool:
    """Whether a browser has where to show a page; else Python waits for one in the terminal."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform != "linux" or any(os.environ.get(name) for name in screens)


def _here(source: str, precision: Precision, family: str) -> tuple[Segmenter, dict[str, Any]]:
    """The engine of this machine, and what masks files say of it."""
    from pipeline.run.checkpoint_source import local_checkpoint
    from scripts.annotate.segmenters import LocalSegmenter
    from serving.sam.engine import Engine
    from serving.sam.machine.allocator import keep_freed_memory

    keep_freed_memory()
    with local_checkpoint(source) as (path, entry):
        engine = Engine.load(path, entry, precision=precision, family=family)
    if engine.checkpoint.family.needs_boxes:
        report_line(f"{engine.checkpoint.family.name} takes boxes: drag one around each object")
    about = {
        "checkpoint": {"name": engine.checkpoint.name, "sha256": engine.checkpoint.sha256},
        "precision": engine.precision,
        "device": str(engine.device),
    }
    return LocalSegmenter(engine), about


def _elsewhere(url: str, outputs: Path) -> tuple[Segmenter, dict[str, Any]]:
    """A model server, or the endpoint where there is no address, and what masks files say of it."""
    from scripts.annotate.remote import ServerSegmenter
    from scripts.online_predictions.servers import DeployedEndpoint, ask_server

    name = url or "the endpoint"
    ask = functools.partial(ask_server, url) if url else DeployedEndpoint(outputs).ask
    about = {"checkpoint": {"name": name, "sha256": ""}, "precision": "", "device": ""}
    return ServerSegmenter(name, ask), about
