"""One container: the image's entry point as a process, asked over HTTP as Vertex does."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from scripts.rehearsal.api_errors import ApiError, failed_precondition
from scripts.rehearsal.processes import free_port
from scripts.rehearsal.vertex_ai.containers.environment import serving_environment
from scripts.rehearsal.vertex_ai.containers.launching import launch_container
from scripts.rehearsal.vertex_ai.state import Json

LIVENESS_SECONDS = 40.0  # four attempts to connect, ten seconds apart
READY_SECONDS = 180.0
HEALTH_TIMEOUT = 10.0
STOP_SECONDS = 60.0
LAST_WORDS = 400  # characters of the log that an error quotes


class Replica:
    """One running container.

    Args:
        version: the model's version, as the registry keeps it.
        log: the file that gets its output.
        extra: variables beside those that Vertex always sets.
        account: who the container acts as.

    Raises:
        ApiError: the files of the image are gone.
    """

    def __init__(self, version: Json, log: Path, extra: Json, *, account: str) -> None:
        spec = version["containerSpec"]
        self._port = free_port()
        address = f"http://127.0.0.1:{self._port}"
        self._predict_url = address + spec.get("predictRoute", "/predict")
        self._health_url = address + spec.get("healthRoute", "/health")
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        tree = Path(version["image"]["tree"])
        if not tree.is_dir():
            raise failed_precondition(f"Image files are gone from {tree}.")
        command = list(version["image"]["entrypoint"])
        if command[0] in ("python", "python3"):
            command[0] = sys.executable
        temporary = log.parent.parent / "tmp"
        temporary.mkdir(exist_ok=True)
        environment = {
            **serving_environment(version, self._port, extra, account),
            "TMPDIR": str(temporary),  # its container's own, which ends with it
        }
        self.process = launch_container(command, tree, environment, log)

    def _last_words(self) -> str:
        return self._log.read_text("utf-8", errors="replace").strip()[-LAST_WORDS:]

    def wait_ready(self) -> None:
        """Wait as Vertex does: for the port, then for the health route.

        Raises:
            ApiError: the process ended, never opened its port, or never became healthy.
        """
        started = time.monotonic()
        listening = False
        while True:
            waited = time.monotonic() - started
            if self.process.poll() is not None:
                raise failed_precondition(
                    "Model server exited unexpectedly. Model server logs can be found at "
                    f"{self._log}. Its last words: {self._last_words()}"
                )
            if not listening:
                listening = self._listens()
                if not listening and waited > LIVENESS_SECONDS:
                    self.stop()
                    raise failed_precondition(
                        "Model server never opened its port (liveness check)."
                    )
            elif self.healthy():
                return
            if waited > READY_SECONDS:
                self.stop()
                raise failed_precondition(
                    f"Model server never became ready. Model server logs: {self._log}"
                )
            time.sleep(0.1)

    def _listens(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._port), timeout=1),
        ):
            return True
        return False

    def healthy(self) -> bool:
        """Whether the health route answers 200."""
        try:
            with urllib.request.urlopen(self._health_url, timeout=HEALTH_TIMEOUT) as reply:  # noqa: S310
                return bool(reply.status == 200)
        except OSError:
            return False

    def predict(self, body: bytes, timeout: float) -> tuple[int, bytes]:
        """Send a request; the status and body of the reply.

        Args:
            body: of the request, JSON.
            timeout: seconds.

        Raises:
            ApiError: no reply came in time, or the container is gone.
        """
        request = urllib.request.Request(  # noqa: S310
            self._predict_url, body, {"Content-Type": "application/json"}
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
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)
