"""The real cdktf and our own command line, run against a local cloud."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from scripts.checkout import ROOT
from scripts.rehearsal import local_cloud as cloud
from scripts.terminal.errors import OperatorError

PROJECT = "rehearsed-project"


def cdktf(found: cloud.Cloud, *words: str, settings: Mapping[str, str] | None = None) -> None:
    """Run the cdktf command line in this project, against a local cloud.

    Args:
        found: the cloud.
        words: of the command line.
        settings: ``SAM_*`` variables beside the caller's own.

    Raises:
        OperatorError: it is not installed, or it failed.
    """
    program = ROOT / "node_modules" / ".bin" / "cdktf"
    if not program.exists():
        raise OperatorError(f"{program} is not there", hint="install Node 20, then: make setup")
    environment = {"SAM_PROJECT_ID": PROJECT, **os.environ, **(settings or {})}
    environment |= found.environment()
    # What releases the model is a command of this environment.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    app = f"{sys.executable} -m infra.main"
    output = str(found.home / "cdktf.out")
    command = [str(program), *words, "--app", app, "--output", output]
    code, said, _ = _finished(command, ROOT, environment, together=True)
    (found.home / f"{words[0]}.log").write_text(said, "utf-8")
    if code:
        raise OperatorError(
            f"cdktf {words[0]} failed: {said.strip()[-600:]}",
            hint="the settings are checked with: python -m infra.main --check",
            exit_code=1,
        )


def world_of(found: cloud.Cloud) -> int:
    """How many resources exist in the local cloud."""
    if not found.world_path.exists():
        return 0
    kinds = json.loads(found.world_path.read_text("utf-8"))["resources"]
    return sum(len(resources) for resources in kinds.values())


def sam_vertex(found: cloud.Cloud, *words: str) -> str:
    """Run our own command line in the rehearsal's folder; what it prints.

    Raises:
        OperatorError: it failed.
    """
    program = Path(sys.executable).with_name("sam-vertex")
    environment = {**os.environ, **found.environment()}
    code, said, errors = _finished([str(program), *words], found.home, environment)
    if code:
        raise OperatorError(
            f"sam-vertex {words[0]} failed: {errors.strip()[-600:]}",
            hint=f"its files are in {found.home}",
            exit_code=1,
        )
    return said


def _finished(
    command: list[str], folder: Path, environment: Mapping[str, str], *, together: bool = False
) -> tuple[int, str, str]:
    """Run a command to its end; its exit code, output and errors.

    It gets a process group of its own, which ends with us: cdktf starts Terraform, which starts
    the provider, and an interruption must leave none of them behind.
    """
    process = subprocess.Popen(  # noqa: S603
        command,
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, errors = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return process.returncode, said, errors or ""
