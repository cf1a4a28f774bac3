"""The command line in this process: what a new process would only repeat, the imports, is saved."""

from __future__ import annotations

import subprocess
from pathlib import Path

from typer.testing import CliRunner

from scripts.cli import app


def sam_vertex(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run ``sam-vertex`` here; its exit code and what it printed, as a process would leave them.

    For what a command refuses and what it prints. What it starts, and what happens to it when
    somebody kills it, needs the real process.
    """
    command = [str(argument) for argument in arguments]
    result = CliRunner().invoke(app, command)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return subprocess.CompletedProcess(command, result.exit_code, result.stdout, result.stderr)
