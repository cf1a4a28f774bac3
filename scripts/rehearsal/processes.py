"""Processes of this machine that stand for services and containers, and ports for them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
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


def runs(pid: int, programs: Sequence[str]) -> bool:
    """Whether a process id still means one of these programs, and not somebody else's process.

    Args:
        pid: the process id.
        programs: names of which one is in the process's command line.
    """
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it ended, or this system has no /proc
        listing = subprocess.run(  # noqa: S603
            ["ps", "-p", str(pid), "-o", "command="],  # noqa: S607
            capture_output=True,
            check=False,
        )
        command = listing.stdout
    return any(program.encode() in command for program in programs)


def end(pid: int, programs: Sequence[str], seconds: float) -> bool:
    """End a process of ours and wait for it.

    Args:
        pid: the process id.
        programs: as in :func:`runs`; anything else is left alone.
        seconds: after which SIGKILL follows SIGTERM.

    Returns:
        Whether it ran.
    """
    if not runs(pid, programs):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while runs(pid, programs):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return True
