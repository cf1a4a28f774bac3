"""Processes of this machine that stand for services and containers, and ports for them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path


def free_port() -> int:
    """A port of the loopback interface on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch_with_log(
    command: list[str],
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    *,
    new_session: bool = False,
    before_exec: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process that appends what it writes to a file.

    A file, not a pipe: a process whose pipe nobody reads stops after 64 KB.

    Args:
        command: program and arguments.
        folder: where it runs.
        environment: all of its variables.
        log: the file.
        new_session: whether signals of this process's terminal do not reach it.
        before_exec: called in the new process before the program.
    """
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            env=dict(environment),
            stdout=output,
            stderr=output,
            start_new_session=new_session,
            preexec_fn=before_exec,
        )
