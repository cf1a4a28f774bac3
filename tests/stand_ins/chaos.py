"""Everything that may go wrong with a run, at random but from a seed: kills, faults, full disks.

A chaos starts the real command again and again over one output, and disturbs each run once; a run
that was over before the disturbance does not count, and is tried again over one image more. What a
process meets that no test can do from outside, it does to itself: a folder on ``PYTHONPATH`` holds
a ``sitecustomize`` that shifts its clock, refuses its writes as a full disk does, and kills it when
it reads a killing image.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image

from pipeline.run.claim import Claim, read_claim
from pipeline.run.output_layout import FAILED, LOCK, LOG
from scripts.checkout import ROOT
from serving.storage import Folder, StorageError
from tests.conftest import draw_scene
from tests.stand_ins.faulty_storage import FaultyStorage

HOOK = """
import os, signal, sys, time
offset, wall = float(os.environ.get("CHAOS_CLOCK") or 0), time.time
if offset:
    time.time = lambda: wall() + offset
worker, output = "pipeline.shard.worker" in " ".join(sys.orig_argv), os.environ["CHAOS_OUTPUT"]
OWN = ("masks", "overlays", "segments")  # what the run itself keeps of the image
def audit(event, arguments):
    if event == "http.client.send":
        request = bytes(arguments[1][:400]) if isinstance(arguments[1], (bytes, bytearray)) else b""
        name = request.partition(b" HTTP/")[0].decode("latin-1") if request[:4] == b"GET " else ""
    elif event == "open":
        name = str(arguments[0])
        writes = isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        full = os.environ["CHAOS_FULL"]
        if writes and name.startswith(output) and os.path.exists(full):
            os.makedirs(full + "-met", exist_ok=True)
            raise OSError(28, "No space left on device", name)
    else:
        return
    if worker and "killer" in name and not any(own in name for own in OWN):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(audit)
"""
ACTIONS = ("worker", "supervisor", "command", "terminate", "damage", "full disk", "storage")
_WAIT_SECONDS = 400.0  # with killing images on a busy machine
_TRIES = 5
_COMPUTED = re.compile(r"^\s*(\S+): \d+ masks in ", re.MULTILINE)


@dataclasses.dataclass
class Chaos:
    """One output under attack.

    Attributes:
        seed: decides everything but how fast this machine is.
        command: of a run, without inputs and output.
        images: local folder of the images.
        inputs: what the command is given for them.
        output: the attacked output, past every fault.
        add: brings a new local image to where the command reads it.
        proxy: before the storage of the output; ``None`` for a local one.
        home: for the hook.
        disturbed: what was done, for the reader of a failure.
        computed: the images that were computed, in order, as far as the logs tell.
        most_again: how many images may have been computed more than once.
    """

    seed: int
    command: list[str]
    images: Path
    inputs: str
    output: Folder
    add: Callable[[Path], object]
    proxy: FaultyStorage | None
    home: Path
    disturbed: list[str] = dataclasses.field(default_factory=list)
    computed: list[str] = dataclasses.field(default_factory=list)
    most_again: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        (self.home / "hook").mkdir(parents=True)
        (self.home / "hook" / "sitecustomize.py").write_text(HOOK)
        self._full = self.home / "full"
        self._full_met = self.home / "full-met"

    def new_image(self, kind: str) -> None:
        """Add a ``good``, ``bad`` or ``killer`` image."""
        path = self.images / f"{len(list(self.images.iterdir())):02d}-{kind}.png"
        Image.fromarray(draw_scene(100 + self.random.randrange(80), 90)).save(path)
        if kind == "bad":
            path.write_bytes(path.read_bytes()[:200])
        elif kind == "killer":
            self.most_again += 4  # what is being computed and written when it kills, twice
        self.add(path)

    def disturb(self, action: str) -> None:
        """Run the command and disturb it once, at a random moment before it has ended."""
        for _ in range(_TRIES):
            hours = self.random.choice([0.0, 0.0, -30.0, 30.0])
            self.disturbed.append(f"{action}, clock {hours:+.0f} h")
            if self._disturbed(action, hours):
                return
            self.disturbed[-1] += ", too late"
            self.new_image("good")
        raise AssertionError(f"{action} never met a run that was going on: {self.disturbed}")

    def _disturbed(self, action: str, hours: float) -> bool:
        """Whether a run was really disturbed."""
        with self._started(hours) as run:
            self._wait_for_worker(run)
            time.sleep(self.random.uniform(0.0, 2.0))
            met = self._act(action, run)
            _, errors = run.communicate(timeout=_WAIT_SECONDS)
        assert "Traceback" not in errors, errors
        self._wait_until_gone()
        if action == "full disk":
            met = self._full_met.exists()
            self._full.unlink()
            if met:
                self._full_met.rmdir()
        self._keep_log()
        self._let_claim_end()
        self.most_again += 2  # the image being computed, and the one being written
        return met

    def run(self) -> subprocess.CompletedProcess[str]:
        """Run the command undisturbed."""
        with self._started(0.0) as run:
            printed, errors = run.communicate(timeout=_WAIT_SECONDS)
        self._keep_log()
        return subprocess.CompletedProcess(run.args, run.returncode, printed, errors)

    def failed(self) -> dict[str, str]:
        """The reasons of the failed images."""
        lines = self.output.read_bytes(FAILED).splitlines()
        return {row["image"]: row["reason"] for row in map(json.loads, lines)}

    @contextlib.contextmanager
    def _started(self, hours: float) -> Iterator[subprocess.Popen[str]]:
        environment = {
            **os.environ,
            "PYTHONPATH": f"{self.home / 'hook'}{os.pathsep}{ROOT}",
            "CHAOS_CLOCK": str(hours * 3600),
            "CHAOS_OUTPUT": self.output.uri,
            "CHAOS_FULL": str(self._full),
        }
        command = [*self.command, "run", self.inputs, "--output", self.output.uri]
        with subprocess.Popen(
            [*command, "--points-per-side", "4"], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as run:  # fmt: skip
            yield run

    def _act(self, action: str, run: subprocess.Popen[str]) -> bool:
        """Disturb a run; return whether there was something to disturb."""
        if run.poll() is not None:
            return False
        if action in ("worker", "supervisor"):
            workers = processes_of(self.output.uri)
            if not workers:
                return False
            worker, supervisor = self.random.choice(workers)
            try:
                os.kill(worker if action == "worker" else supervisor, signal.SIGKILL)
            except ProcessLookupError:
                return False
        elif action in ("command", "terminate"):
            run.send_signal(signal.SIGKILL if action == "command" else signal.SIGTERM)
        elif action == "damage":
            return self._damage_one_file()
        elif action == "full disk":
            self._full.touch()
        elif self.proxy is not None:
            before = sum(self.proxy.faults.values())
            self.proxy.down_until = time.monotonic() + 3
            while time.monotonic() < self.proxy.down_until and run.poll() is None:
                time.sleep(0.05)
            return sum(self.proxy.faults.values()) > before
        return True

    def _damage_one_file(self) -> bool:
        """Cut, empty, fill with nonsense, or remove a file that a run reads again, if any."""
        names = [file.name for file in self.output.files() if not _is_picture(file.name)]
        names += [file.name for file in self.output.files(".run/") if file.name != LOG]
        if not names:
            return False
        name = self.random.choice(sorted(names))
        kind = self.random.choice(["cut", "empty", "nonsense", "removed"])
        self.disturbed[-1] += f", {name} {kind}"
        try:
            content = self.output.read_bytes(name)
            if kind == "removed":
                self.output.delete(name)
                return True
            half = content[: len(content) // 2]
            new = {"cut": half, "empty": b"", "nonsense": b"\xff{" * 9}[kind]
            self.output.write_bytes(name, new, "application/octet-stream")
        except StorageError:  # the run itself has just removed it
            return False
        return True

    def _let_claim_end(self) -> None:
        """As if the two minutes were over for which the claim of a killed run lasts."""
        if not self.output.is_local and read_claim(self.output) is not None:
            self.output.write_bytes(LOCK, Claim("killed", 0.0).to_json(), "application/json")

    def _keep_log(self) -> None:
        with contextlib.suppress(StorageError):
            text = self.output.read_bytes(LOG).decode("utf-8", "replace")
            self.computed += _COMPUTED.findall(text)

    def _wait_for_worker(self, run: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while run.poll() is None and not processes_of(self.output.uri):
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _wait_until_gone(self) -> None:
        deadline = time.monotonic() + 30
        while processes_of(self.output.uri):
            assert time.monotonic() < deadline, "a step outlives the run that started it"
            time.sleep(0.05)


def _is_picture(name: str) -> bool:
    return name.startswith(("overlays/", "segments/", "report"))


def processes_of(output: str) -> list[tuple[int, int]]:
    """The workers that write to an output, each with its parent."""
    wanted = f"CHAOS_OUTPUT={output}".encode()
    workers = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            if b"pipeline.shard.worker" not in (path / "cmdline").read_bytes():
                continue
            if wanted in (path / "environ").read_bytes().split(b"\0"):
                parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
                workers.append((int(path.name), parent))
    return workers
