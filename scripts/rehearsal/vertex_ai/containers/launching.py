"""Start the processes of containers, so that none outlives the stand-in."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import signal
import subprocess
import sys
from pathlib import Path

from scripts.rehearsal.processes import launch_with_log

_PR_SET_PDEATHSIG = 1  # prctl(2)


def _die_with_parent() -> None:
    """Ask the kernel to end this process when the stand-in ends, however that ends (Linux)."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


# To the kernel the parent is the thread that launched, not its process: that thread must live on.
_LAUNCHER = concurrent.futures.ThreadPoolExecutor(1, "launcher")


def launch_container(
    command: list[str], folder: Path, environment: dict[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a container's process, which writes to a log."""

    def start() -> subprocess.Popen[bytes]:
        return launch_with_log(command, folder, environment, log, before_exec=_die_with_parent)

    return _LAUNCHER.submit(start).result()


def launch_group(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process that leads a group of its own and writes to a pipe."""

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent,
            start_new_session=True,
        )

    return _LAUNCHER.submit(start).result()
