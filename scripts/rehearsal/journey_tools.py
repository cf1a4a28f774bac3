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
from typing import Any

from scripts.checkout import ROOT
from scripts.rehearsal.local_cloud import Cloud
from scripts.terminal.errors import OperatorError
from scripts.terminal.interruptions import INTERRUPTED

PROJECT = "rehearsed-project"
QUOTED = 600  # characters of a failed command's output that its error quotes


def cdktf(cloud: Cloud, *arguments: str, settings: Mapping[str, str] | None = None) -> None:
    """Run the cdktf command line in this project, against a local cloud.

    Args:
        cloud: the cloud.
        arguments: of the command line.
        settings: ``SAM_*`` variables beside the caller's own.

    Raises:
        OperatorError: it is not installed, or it failed.
    """
    program = ROOT / "node_modules" / ".bin" / "cdktf"
    if not program.exists():
        raise OperatorError(f"{program} is not there", hint="install Node 20, then: make setup")
    environment = {"SAM_PROJECT_ID": PROJECT, **os.environ, **(settings or {})}
    environment |= cloud.environment()
    # What releases the model is a command of this environment.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    app = f"{sys.executable} -m infra.main"
    synthesized = str(cloud.home / "cdktf.out")
    command = [str(program), *arguments, "--app", app, "--output", synthesized]
    code, output, _ = _run(command, ROOT, environment, merge_stderr=True)
    (cloud.home / f"{arguments[0]}.log").write_text(output, "utf-8")
    if code:
        raise OperatorError(
            f"cdktf {arguments[0]} failed: {output.strip()[-QUOTED:]}",
            hint="the settings are checked with: python -m infra.main --check",
            exit_code=1,
        )


def sam_vertex(cloud: Cloud, *arguments: str) -> str:
    """Run our own command line in the rehearsal's folder and return its stdout.

    Raises:
        OperatorError: it failed.
    """
    program = str(Path(sys.executable).with_name("sam-vertex"))
    return _run_here(cloud, f"sam-vertex {arguments[0]}", [program, *arguments])


def sam_vertex_json(cloud: Cloud, *arguments: str) -> Any:
    """Run our own command line with ``--json`` and return what it prints, parsed."""
    return json.loads(sam_vertex(cloud, *arguments, "--json"))


def inject_fault(cloud: Cloud, **fault: object) -> None:
    """Let the stand-in of Vertex AI fail as ``scripts/rehearsal/vertex_ai/README.md`` says."""
    import requests

    requests.post(f"{cloud.vertex_url}/rehearsal/faults", json=fault, timeout=30).raise_for_status()


def interrupted_sam_vertex(cloud: Cloud, at: str, *arguments: str) -> str:
    """Run our own command line, and send it SIGTERM when it says something.

    A command takes it for Ctrl-C. SIGINT itself is ignored by what a shell runs in the background,
    and by all that this starts.

    Args:
        cloud: the local cloud.
        at: part of the line of progress after which it is interrupted.
        arguments: of the command line.

    Returns:
        What it said on standard error.

    Raises:
        OperatorError: it did not end as an interrupted command.
    """
    program = str(Path(sys.executable).with_name("sam-vertex"))
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603
        [program, *arguments],
        cwd=cloud.home,
        env={**os.environ, **cloud.environment()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        waiting = True
        for line in process.stderr or ():
            lines.append(line)
            if waiting and at in line:
                waiting = False
                process.send_signal(signal.SIGTERM)
    text = "".join(lines)
    if process.returncode != INTERRUPTED:
        raise OperatorError(
            f"sam-vertex {arguments[0]} was interrupted and ended with {process.returncode}: "
            f"{text.strip()[-QUOTED:]}",
            hint=f"its files are in {cloud.home}",
            exit_code=1,
        )
    return text


def fetch_folder(cloud: Cloud, uri: str, target: Path) -> int:
    """Copy a folder of the cloud's storage to this machine and return the number of files.

    Raises:
        OperatorError: it failed.
    """
    module = [sys.executable, "-m", "scripts.rehearsal.folder_copy"]
    return int(_run_here(cloud, f"copying {uri}", [*module, uri, str(target.resolve())]))


def _run_here(cloud: Cloud, title: str, command: list[str]) -> str:
    environment = {**os.environ, **cloud.environment()}
    code, stdout, stderr = _run(command, cloud.home, environment)
    if code:
        raise OperatorError(
            f"{title} failed: {stderr.strip()[-QUOTED:]}",
            hint=f"its files are in {cloud.home}",
            exit_code=1,
        )
    return stdout


def _run(
    command: list[str], folder: Path, environment: Mapping[str, str], *, merge_stderr: bool = False
) -> tuple[int, str, str]:
    """Run a command to its end and return its exit code, stdout and stderr.

    It gets a process group of its own, which ends with us: cdktf starts Terraform, which starts
    the provider, and an interruption must leave none of them behind.
    """
    process = subprocess.Popen(  # noqa: S603
        command,
        cwd=folder,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge_stderr else subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    return process.returncode, stdout, stderr or ""
