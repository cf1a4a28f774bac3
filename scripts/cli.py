"""``sam-vertex``: the list of commands an operator types; each is a module of its own."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import PurePath
from typing import Annotated

from scripts.terminal.interruptions import end_at_once, interrupt_again

_IS_PROGRAM = PurePath(sys.argv[0]).name == "sam-vertex"
if _IS_PROGRAM:
    end_at_once()  # the imports below take a second, in which there is nothing to clean up

import typer

from scripts.cloud.google_errors import explain_google_error
from scripts.cloud.rehearsal_shell import refuse_if_gone
from scripts.commands import (
    annotate,
    batch_predict,
    checkpoint,
    cost,
    doctor,
    experiment,
    export,
    image,
    images,
    model,
    pipeline,
    platform,
    predict,
    rehearsal,
    rehearse,
    run,
    serve,
)
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import explain_with

explain_with(explain_google_error)
app = CommandGroup(
    name="sam-vertex",
    help="Segment thousands of images with Segment Anything, here or on Google Cloud.",
    epilog="sam-vertex run photos/ --output out/\nsam-vertex run --help",
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"sam-vertex {version('sam-vertex')}")
        raise typer.Exit


# They make and end rehearsals, so that they work from wherever somebody is.
_OF_REHEARSALS = ("rehearsal", "rehearse")


@app.callback()
def _program(
    context: typer.Context,
    version_asked: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    """The options of the program itself."""
    if context.invoked_subcommand not in _OF_REHEARSALS and not {"--help", "-h"} & {*sys.argv}:
        refuse_if_gone(os.environ)


app.command("run", epilog=run.EXAMPLES)(run.run)
app.command("annotate", epilog=annotate.EXAMPLES)(annotate.annotate)
app.command("serve", epilog=serve.EXAMPLE)(serve.serve)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict)
app.command("batch-predict", epilog=batch_predict.EXAMPLE)(batch_predict.batch_predict)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.command("experiment", epilog=experiment.EXAMPLES)(experiment.experiment)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("cost", epilog=cost.EXAMPLES)(cost.cost)
app.add_typer(checkpoint.app, name="checkpoint")
app.add_typer(images.app, name="images")
app.add_typer(image.app, name="image")
app.add_typer(model.app, name="model")
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(platform.app, name="platform", hidden=True)
app.add_typer(rehearsal.app, name="rehearsal")
app.command("rehearse", epilog=rehearse.EXAMPLE)(rehearse.rehearse)


def main() -> None:
    """Entry point of the console script."""
    if _IS_PROGRAM:
        interrupt_again()
    app()


if __name__ == "__main__":
    main()
