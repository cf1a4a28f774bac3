"""How fast PyTorch's threads are by how they wait, and by their number: alone and beside others.

    python -m tests.benchmarks.waiting_threads

Each way is a process that stays; they take turns (A B C A B C ...), image by image, so that what
the machine does else weighs on all of them alike. A turn computes a small image first, which nobody
times, as if the process had worked all along. Figures are medians: of the automatic masks of one
image with the embedded network, and of the embedding and sixteen points with a network of vit_b's
shape. It takes six minutes; run it where nothing else runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.benchmarks.record import about, write

# OpenMP's variables of a way; and whether an image takes threads on free cores only.
WAYS: dict[str, tuple[dict[str, str], bool]] = {
    "spin": ({}, False),
    "sleep": ({"OMP_WAIT_POLICY": "PASSIVE"}, False),
    "spin 1000 times": ({"GOMP_SPINCOUNT": "1000"}, False),
    "spin 10000 times": ({"GOMP_SPINCOUNT": "10000"}, False),
    "one thread": ({"OMP_NUM_THREADS": "1"}, False),
    "spin, on free cores": ({}, True),
    "spin 10000 times, on free cores": ({"GOMP_SPINCOUNT": "10000"}, True),
}
NETWORKS = ("vit_tiny", "vit_b's shape")
CONDITIONS = ("alone", "beside a busy process")
# Of the time; a network of vit_b's shape takes longer, and everything does beside a busy process.
SHARES = {
    ("vit_tiny", "alone"): 0.15,
    ("vit_tiny", "beside a busy process"): 0.2,
    ("vit_b's shape", "alone"): 0.25,
    ("vit_b's shape", "beside a busy process"): 0.4,
}
_OF_OPENMP = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
_CODE = """
import json, sys, time
from skimage import data
from serving.sam.machine import waiting_threads
from serving.sam.machine.allocator import keep_freed_memory
keep_freed_memory()
waiting_threads.DEFAULT = waiting_threads.ThreadPolicy({}, on_free_cores=sys.argv[1] == "True")
from serving.sam import AutomaticSettings, Engine
from tests.widened import widened
image = data.coffee()
engines = {
    "vit_tiny": (Engine.load("vit_tiny"), None),
    "vit_b's shape": (Engine(widened("vit_b")), AutomaticSettings(points_per_side=4)),
}
small, _ = engines["vit_tiny"]
small.generate(image)
print("ready", flush=True)
for line in sys.stdin:
    engine, settings = engines[line.strip()]
    small.generate(image)
    started = time.perf_counter()
    engine.generate(image, settings)
    print(json.dumps(time.perf_counter() - started), flush=True)
"""


class Way:
    """A process that computes an image when it is asked, in one of the ways.

    Args:
        variables: of OpenMP.
        on_free_cores: as :class:`serving.sam.machine.waiting_threads.ThreadPolicy` has it.
    """

    def __init__(self, variables: dict[str, str], on_free_cores: bool) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in _OF_OPENMP}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CODE, str(on_free_cores)],
            env={**environment, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_ready(self) -> None:
        """Wait until both networks are loaded."""
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process ended; its error is above")
        return line

    def image_seconds(self, network: str) -> float:
        """Seconds of one image."""
        assert self._process.stdin is not None
        print(network, file=self._process.stdin, flush=True)
        return float(json.loads(self._answer()))

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def measure(ways: dict[str, Way], network: str, seconds: float) -> dict[str, Any]:
    """Medians by way; rounds go on for so long, and one goes to its end."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    until = time.monotonic() + seconds
    rounds = 0
    while not rounds or time.monotonic() < until:
        for name, way in ways.items():
            taken[name].append(way.image_seconds(network))
        rounds += 1
    medians = {name: round(statistics.median(values), 3) for name, values in taken.items()}
    return {"rounds": rounds, "seconds": medians}


@contextlib.contextmanager
def busy_process() -> Iterator[None]:
    """Another process that only counts."""
    counting = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        counting.kill()
        counting.wait()


def ratios(alone: dict[str, float], busy: dict[str, float]) -> dict[str, dict[str, float]]:
    """What is asked of a way: idle within 3 % of spinning, busy at most twice its own idle time."""
    return {
        name: {
            "idle, of spinning": round(alone[name] / alone["spin"], 3),
            "busy, of idle": round(busy[name] / alone[name], 2),
        }
        for name in alone
    }


def main() -> None:
    """Measure, print and write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="of measuring, beside half a minute to start"
    )
    options = parser.parse_args()
    load = os.getloadavg()[0]
    result: dict[str, Any] = {**about(), "load_before": load, "networks": {}}
    with contextlib.ExitStack() as stack:
        ways: dict[str, Way] = {}
        for name, (variables, on_free_cores) in WAYS.items():
            ways[name] = Way(variables, on_free_cores)
            stack.callback(ways[name].end)
        for way in ways.values():
            way.wait_until_ready()
        for network in NETWORKS:
            measured: dict[str, Any] = {}
            for condition in CONDITIONS:
                seconds = 60 * options.minutes * SHARES[network, condition]
                with busy_process() if condition != "alone" else contextlib.nullcontext():
                    measured[condition] = measure(ways, network, seconds)
            alone, busy = (measured[condition]["seconds"] for condition in CONDITIONS)
            result["networks"][network] = {**measured, "ratios": ratios(alone, busy)}
    write("waiting_threads", result)


if __name__ == "__main__":
    main()
