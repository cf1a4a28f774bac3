"""Git, Docker and gcloud, run in this checkout: for a value, or for long work that is watched."""

from __future__ import annotations

import collections
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from scripts.checkout import ROOT
from scripts.terminal.errors import CLOUD, OperatorError

_TAIL_LINES = 20  # of a program's output, from which an error quotes the end


def output_of(*command: str, stdin: bytes | None = None) -> bytes:
    """Run a program in the checkout and return what it printed on standard output.

    Its warnings go to standard error and are no part of the value.

    Args:
        command: the program and its arguments.
        stdin: what it reads, which no list of processes and no error shows.

    Raises:
        OperatorError: it failed, or is not installed.
    """
    try:
        process = subprocess.run(  # noqa: S603
            command, cwd=ROOT, input=stdin, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise OperatorError(
            f"{command[0]} is not installed", hint=f"install {command[0]}", exit_code=CLOUD
        ) from error
    if process.returncode:
        output = process.stderr or process.stdout
        raise _failure(command, output.decode("utf-8", "replace"))
    return process.stdout


def run_aloud(*command: str, variables: Mapping[str, str] | None = None) -> None:
    """Run a program in the checkout and print its lines on standard error as they come.

    Args:
        command: the program and its arguments.
        variables: of its environment, beside ours.

    Raises:
        OperatorError: it failed.
    """
    tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
    with subprocess.Popen(  # noqa: S603
        command,
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            tail.append(line)
            print(line, end="", file=sys.stderr, flush=True)
    if process.returncode:
        raise _failure(command, "".join(tail))


def succeeds(*command: str) -> bool:
    """Whether a program is installed and ends without an error."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603


def _failure(command: tuple[str, ...], output: str) -> OperatorError:
    return OperatorError(
        f"{' '.join(command[:3])} failed: {output.strip()[-500:]}",
        hint="its whole output: run the same command by hand",
        exit_code=CLOUD,
    )
