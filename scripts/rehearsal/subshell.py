"""A shell of its own for a rehearsal: its variables end with it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import report_line

_MARK = "(rehearsal) "
# What an interactive shell reads last, so that its owner's own prompt is there to be marked.
_BASHRC = f'[ -f ~/.bashrc ] && . ~/.bashrc\nPS1="{_MARK}$PS1"\n'
_ZSHRC = f'[ -f ~/.zshrc ] && . ~/.zshrc\nPROMPT="{_MARK}$PROMPT"\n'


def run(variables: Mapping[str, str], command: Sequence[str]) -> int:
    """Run a command, or the user's shell, with a rehearsal's variables; return its exit code.

    Args:
        variables: ``Cloud.environment()``.
        command: program and arguments; empty for an interactive shell.

    Raises:
        OperatorError: there is no such program.
    """
    environment = {**os.environ, **variables}
    if command:
        return _run(command, environment)
    shell = os.environ.get("SHELL") or "/bin/sh"
    with tempfile.TemporaryDirectory(prefix="sam-shell-") as folder:
        arguments, more = _marked(shell, Path(folder))
        report_line("In the rehearsal; 'exit' or Ctrl-D leaves it.")
        return _run([shell, *arguments], {**environment, **more})


def _marked(shell: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments and variables with which a shell shows that it is in the rehearsal."""
    match Path(shell).name:
        case "bash":
            (folder / "bashrc").write_text(_BASHRC, "utf-8")
            return ["--rcfile", str(folder / "bashrc"), "-i"], {}
        case "zsh":
            (folder / ".zshrc").write_text(_ZSHRC, "utf-8")
            return ["-i"], {"ZDOTDIR": str(folder)}
    return ["-i"], {"PS1": f"{_MARK}$ "}


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    try:
        code = subprocess.run(command, env=environment, check=False).returncode  # noqa: S603
    except OSError as error:
        raise OperatorError(
            f"{command[0]}: {error.strerror or error}", hint="name a program that is on your PATH"
        ) from error
    return code if code >= 0 else 128 - code
