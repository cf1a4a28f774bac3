"""Containers as processes: the image's entry point with the variables that Vertex sets."""

from __future__ import annotations

import concurrent.futures
import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from scripts.rehearsal.vertex_ai.errors import ApiError, precondition
from scripts.rehearsal.vertex_ai.state import Json

LIVENESS_SECONDS = 40.0  # four attempts to connect, ten seconds apart
READY_SECONDS = 180.0
HEALTH_TIMEOUT = 10.0
KEPT = (
    *("PATH", "HOME", "LANG", "TMPDIR", "LD_LIBRARY_PATH"),
    "STORAGE_EMULATOR_HOST",
    "OMP_NUM_THREADS",  # how this machine's cores are divided
)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def container_environment(version: Json, port: int, extra: Json) -> dict[str, str]:
    """What Vertex sets, and what the model's container spec says.

    https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
    """
    spec = version["containerSpec"]
    variables = {name: os.environ[name] for name in KEPT if name in os.environ}
    variables |= {
        "GOOGLE_CLOUD_PROJECT": "rehearsal",  # the client asks the metadata server otherwise
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": spec.get("healthRoute", "/health"),
        "AIP_PREDICT_ROUTE": spec.get("predictRoute", "/predict"),
        "AIP_STORAGE_URI": version.get("copiedArtifacts", ""),
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
    }
    variables |= {str(k): str(v) for k, v in extra.items() if v}
    variables |= {item["name"]: str(item.get("value", "")) for item in spec.get("env", [])}
    return variables


def _die_with_parent() -> None:
    """A replica does not outlive the stand-in, however that ends (prctl(2), Linux)."""
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError):
            ctypes.CDLL(None).prctl(1, signal.SIGTERM)


# The kernel counts the death of the thread that launched, so that one must live on.
_LAUNCHER = concurrent.futures.ThreadPoolExecutor(1, "launcher")


def _launch(
    command: list[str], folder: Path, environment: dict[str, str], log: Path
) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603
            command,
            cwd=folder,
            env=environment,
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_parent,
        )


def pipeline_environment(tree: Path, home: Path, at_once: int) -> dict[str, str]:
    """Variables of a pipeline's containers, which find the image's files first.

    Their temporary files go with the job.

    The machines that run at once are one here: each gets its share of the cores.
    """
    variables = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {
        **variables,
        "GOOGLE_CLOUD_PROJECT": "rehearsal",
        "PYTHONPATH": str(tree),
        "TMPDIR": str(home),
        "OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // at_once, 1)),
    }


def launch_group(
    command: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    """Start a process that leads a group of its own, with its output in a pipe."""

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


class Replica:
    """One running container.

    Attributes:
        url: where it listens.
    """

    def __init__(self, version: Json, log: Path, extra: Json) -> None:
        port = free_port()
        spec = version["containerSpec"]
        self.url = f"http://127.0.0.1:{port}"
        self.predict_url = self.url + spec.get("predictRoute", "/predict")
        self.health_url = self.url + spec.get("healthRoute", "/health")
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        tree = Path(version["image"]["tree"])
        if not tree.is_dir():
            raise precondition(f"Image files are gone from {tree}.")
        entry = list(version["image"]["entrypoint"])
        if entry[0] in ("python", "python3"):
            entry[0] = sys.executable
        temporary = log.parent.parent / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {
            **container_environment(version, port, extra),
            "TMPDIR": str(temporary),  # its container's own, which ends with it
        }
        self.process = _LAUNCHER.submit(_launch, entry, tree, environment, log).result()

    def _last_words(self) -> str:
        text = self.log.read_text("utf-8", errors="replace").strip()
        return text[-400:]

    def wait_ready(self) -> None:
        """Wait as Vertex does: the port, then the health route.

        Raises:
            ApiError: the process ended, never opened its port, or never became healthy.
        """
        started = time.monotonic()
        listening = False
        while True:
            waited = time.monotonic() - started
            if self.process.poll() is not None:
                raise precondition(
                    "Model server exited unexpectedly. Model server logs can be found at "
                    f"{self.log}. Its last words: {self._last_words()}"
                )
            if not listening:
                with (
                    contextlib.suppress(OSError),
                    socket.create_connection(
                        ("127.0.0.1", int(self.url.rpartition(":")[2])), timeout=1
                    ),
                ):
                    listening = True
                if not listening and waited > LIVENESS_SECONDS:
                    self.stop()
                    raise precondition("Model server never opened its port (liveness check).")
            elif self.healthy():
                return
            if waited > READY_SECONDS:
                self.stop()
                raise precondition(
                    f"Model server never became ready. Model server logs: {self.log}"
                )
            time.sleep(0.1)

    def healthy(self) -> bool:
        """One health check."""
        try:
            with urllib.request.urlopen(self.health_url, timeout=HEALTH_TIMEOUT) as reply:  # noqa: S310
                return bool(reply.status == 200)
        except OSError:
            return False

    def predict(self, body: bytes, timeout: float) -> tuple[int, bytes]:
        """Send a request; the status and body of the reply.

        Raises:
            ApiError: no reply within ``timeout`` seconds, or the container is gone.
        """
        request = urllib.request.Request(  # noqa: S310
            self.predict_url, body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310
                return int(reply.status), reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        except TimeoutError as error:
            raise ApiError(504, "Deadline expired before operation could complete.") from error
        except (urllib.error.URLError, OSError) as error:
            raise ApiError(503, "The model server is unavailable.") from error

    def stop(self) -> None:
        """Let it finish what it computes, then end it."""
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
