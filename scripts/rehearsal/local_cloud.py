"""Start and stop the local cloud, and tell the real tools where it is.

Everything lies in one folder: the storage stand-in's files and log, the provider's mirror and
world, and ``cloud.json``, which says what runs where.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from scripts.cloud.saved_settings import SAVED_SETTINGS
from scripts.rehearsal import stand_ins
from scripts.rehearsal.google_provider.protocol.mirror import write_mirror
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.iam.callers import address_as
from scripts.rehearsal.new_project import make_new
from scripts.rehearsal.processes import end, free_port
from scripts.rehearsal.project_apis.agents import PREFIX
from scripts.terminal.errors import OperatorError

DEFAULT_HOME = Path(".rehearsal")
WORLD_VARIABLE = "SAM_REHEARSAL_WORLD"
STOP_SECONDS = 60  # containers finish what they compute
# The name says what it is: infra.rehearsal refuses it to anything real.
STATE_FOLDER = "rehearsal-state"
FOLDERS = ("storage", "mirror", STATE_FOLDER, "bin", "images", "logs", "pipelines", "tmp")
FILES = (
    *(
        "storage.log",
        "storage-front.log",
        "versions.json",
        "vertex.log",
        "vertex.pem",
        "vertex.key",
        "terraform.rc",
        ".curlrc",
        SAVED_SETTINGS,
    ),
    *("world.json", "world.lock"),
)


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

    def environment(self, account: str = "") -> dict[str, str]:
        """Variables that make Terraform, cdktf and the storage client use the stand-ins.

        Args:
            account: e-mail of the service account that a shell acts as; empty for the operator.
        """
        return {
            "STORAGE_EMULATOR_HOST": address_as(self.storage_url, account)
            if account
            else self.storage_url,
            "SAM_REHEARSAL_ACCOUNT": account,
            "TF_CLI_CONFIG_FILE": str(self.home / "terraform.rc"),
            WORLD_VARIABLE: str(self.world_path),
            "SAM_REHEARSAL_VERTEX": self.vertex_url,
            "SAM_REHEARSAL_APIS": f"{self.vertex_url}{PREFIX}",
            # The names of dedicated endpoints answer by https, with a certificate made here.
            "REQUESTS_CA_BUNDLE": str(self.home / "vertex.pem"),
            "CURL_CA_BUNDLE": str(self.home / "vertex.pem"),
            "CURL_HOME": str(self.home),
            "CDKTF_SKIP_PROVIDER_LOCK": "true",  # locking asks the network
            "PATH": f"{self.home / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            # Never the state of something real: to the stand-in it would all be gone.
            "SAM_STATE_FOLDER": str(self.home / STATE_FOLDER),
            "SAM_STATE_BUCKET": "",
            "CHECKPOINT_DISABLE": "1",
            "CI": "1",  # cdktf writes plain lines
            # Else cdktf links the provider into a cache in the home folder, which other
            # rehearsals, and deployments to the real cloud, use as well.
            "CDKTF_DISABLE_PLUGIN_CACHE_ENV": "1",
            "TF_PLUGIN_CACHE_DIR": "",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        }

    @property
    def world_path(self) -> Path:
        """The provider's world."""
        return self.home / "world.json"


def running(home: Path) -> Cloud | None:
    """The cloud of this folder, if it runs."""
    path = _state_path(home)
    if not path.exists():
        return None
    state: dict[str, Any] = json.loads(path.read_text("utf-8"))
    cloud = Cloud(home, state["storage_url"], state["vertex_url"], tuple(state["pids"]))
    urls = (
        stand_ins.storage_health(cloud.storage_url),
        stand_ins.vertex_health(cloud.vertex_url),
    )
    return cloud if all(stand_ins.answers(url) for url in urls) else None


def start(home: Path, *, new_project: bool = False, gpus: bool = True) -> Cloud:
    """Start the local cloud, or return the one that runs already.

    Args:
        home: its folder.
        new_project: whether its project was made today (:mod:`scripts.rehearsal.new_project`).
        gpus: whether a new project may use a GPU.

    Raises:
        OperatorError: a stand-in is not installed, or does not come up; then none is left running.
            Or a new project is asked for where one is kept.
    """
    home = home.resolve()
    if new_project and (home / "world.json").exists():
        raise OperatorError(
            f"--new-project: the project in {home} is there already",
            hint="end it (sam-vertex rehearsal stop), remove that folder, or name another --home",
        )
    cloud = running(home)
    if cloud is not None:
        return cloud
    for name in ("storage", STATE_FOLDER):
        (home / name).mkdir(parents=True, exist_ok=True)
    world = World(home / "world.json")
    if new_project:
        make_new(world, gpus=gpus)
    write_mirror(home)
    stand_ins.write_programs(home)
    storage_url, backend_url, vertex_url = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        storage = stand_ins.launch_storage(home, backend_url, storage_url)
        processes.append(storage)
        front = stand_ins.launch_front(home, storage_url, backend_url)
        processes.append(front)
        vertex = stand_ins.launch_vertex(home, vertex_url, storage_url)
        processes.append(vertex)
        for url, process, log in (
            (stand_ins.storage_health(backend_url), storage, stand_ins.STORAGE_LOG),
            (stand_ins.storage_health(storage_url), front, stand_ins.FRONT_LOG),
            (stand_ins.vertex_health(vertex_url), vertex, stand_ins.VERTEX_LOG),
        ):
            stand_ins.wait_until_up(url, process, home / log)
    except BaseException:
        for process in processes:
            process.kill()
            process.wait()
        raise
    pids = (vertex.pid, front.pid, storage.pid)
    state = {"storage_url": storage_url, "vertex_url": vertex_url, "pids": pids}
    _state_path(home).write_text(json.dumps(state, indent=1) + "\n", "utf-8")
    return Cloud(home, storage_url, vertex_url, pids)


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
    if not path.exists():
        return False
    pids = [int(pid) for pid in json.loads(path.read_text("utf-8"))["pids"]]
    ended = [end(pid, stand_ins.PROGRAMS, STOP_SECONDS) for pid in pids]
    path.unlink()
    if not keep:
        for name in FOLDERS:
            shutil.rmtree(home / name, ignore_errors=True)
        for name in FILES:
            (home / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody else's files stay, and the folder
            home.rmdir()
    return any(ended)


def _state_path(home: Path) -> Path:
    return home / "cloud.json"
