"""``sam-vertex rehearsal``: the local cloud by itself."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from scripts.commands import options
from scripts.rehearsal import local_cloud, subshell
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import OperatorError, reporting_errors

app = CommandGroup(help="A local stand-in of Google Cloud for the real tools.")
Home = Annotated[Path, typer.Option(help="Folder of the local cloud.")]


def _exports(variables: dict[str, str]) -> str:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join(lines)


def _undoing(home: Path) -> str:
    """Return the line that takes out of a shell what :func:`_exports` has put into it."""
    variables = local_cloud.Cloud(home, storage_url="", vertex_url="", pids=()).environment()
    first = variables.pop("PATH").partition(os.pathsep)[0] + os.pathsep
    return f"unset {' '.join(variables)}; PATH=${{PATH#{shlex.quote(first)}}}"


def _home_of_this_shell(home: Path) -> Path:
    """The folder of the local cloud that this shell points at, whether it is there or not."""
    world = os.environ.get(local_cloud.WORLD_VARIABLE, "")
    return Path(world).parent if world else home.resolve()


@app.command(epilog='sam-vertex rehearsal start && eval "$(sam-vertex rehearsal env)"')
def start(
    home: Home = local_cloud.DEFAULT_HOME,
    new_project: Annotated[
        bool,
        typer.Option(
            "--new-project", help="A project without service agents and with one GPU of each quota."
        ),
    ] = False,
    gpus: Annotated[bool, typer.Option(help="Whether a new project may use a GPU.")] = True,
    debug: options.Debug = False,
) -> None:
    """Start the local cloud, or use the one that runs already."""
    with reporting_errors(debug):
        if not gpus and not new_project:
            raise OperatorError(
                "--no-gpus is of a new project", hint="add --new-project, or leave it out"
            )
        cloud = local_cloud.start(home, new_project=new_project, gpus=gpus)
        print(f"The local cloud runs: storage at {cloud.storage_url}, files in {cloud.home}")
        print("Open a shell in it:  sam-vertex rehearsal shell")
        print('Or point this one at it:  eval "$(sam-vertex rehearsal env)"')


@app.command(
    epilog='eval "$(sam-vertex rehearsal env)"\neval "$(sam-vertex rehearsal env --unset)"'
)
def env(
    home: Home = local_cloud.DEFAULT_HOME,
    account: Annotated[
        str, typer.Option(help="E-mail of the service account to act as; the operator otherwise.")
    ] = "",
    unset: Annotated[
        bool, typer.Option("--unset", help="Print what takes these variables out again.")
    ] = False,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Print the variables that make the real tools use the local cloud."""
    with reporting_errors(debug):
        if unset:
            print(_undoing(_home_of_this_shell(home)))
            return
        cloud = local_cloud.running(home.resolve())
        if cloud is None:
            raise OperatorError("no local cloud runs here", hint="sam-vertex rehearsal start")
        variables = cloud.environment(account)
        print(json.dumps(variables, indent=2) if as_json else _exports(variables))


@app.command(
    epilog="sam-vertex rehearsal shell\nsam-vertex rehearsal shell sam-vertex doctor",
    context_settings={"ignore_unknown_options": True},
)
def shell(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="Run this instead of a shell, and end."),
    ] = None,
    home: Home = local_cloud.DEFAULT_HOME,
    keep: Annotated[bool, typer.Option(help="Leave its files for the next start.")] = False,
    debug: options.Debug = False,
) -> None:
    """Open a shell in the local cloud; leaving it leaves the rehearsal.

    A local cloud that runs already goes on; one that this command has started ends with the shell.
    """
    with reporting_errors(debug, interrupted_hint="the local cloud has stopped"):
        started = local_cloud.running(home.resolve()) is None
        cloud = local_cloud.start(home)
        try:
            code = subshell.run(cloud.environment(), command or [])
        finally:
            if started:
                local_cloud.stop(home, keep=keep)
        raise typer.Exit(code)


@app.command(epilog="sam-vertex rehearsal stop")
def stop(
    home: Home = local_cloud.DEFAULT_HOME,
    keep: Annotated[bool, typer.Option(help="Leave its files for the next start.")] = False,
    debug: options.Debug = False,
) -> None:
    """Stop the local cloud, remove what it made, and print what takes it out of a shell."""
    with reporting_errors(debug):
        stopped = local_cloud.stop(home, keep=keep)
        print("The local cloud has stopped." if stopped else "No local cloud was running here.")
        print(f"Take it out of a shell that 'env' pointed at it:  {_undoing(home.resolve())}")
