"""What it costs that threads spin, or sleep, while they wait: on an idle machine and on a busy one.

    python -m tests.benchmarks.waiting_threads

Each way gets a process of its own in turn (A B C A B C ...), alone and beside a process that only
counts; a figure is the median of an image's automatic masks. Run it where nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from tests.benchmarks.record import about, write

WAYS: dict[str, dict[str, str]] = {
    "as libgomp has it": {},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    "GOMP_SPINCOUNT=1000": {"GOMP_SPINCOUNT": "1000"},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
}
_OF_OPENMP = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_NUM_THREADS")
_CODE = """
import json, sys, time
from skimage import data
from serving.sam.machine.allocator import keep_freed_memory
keep_freed_memory()
from serving.sam import Engine
engine = Engine.load("vit_tiny")
image = data.coffee()
engine.generate(image)
seconds = []
for _ in range(int(sys.argv[1])):
    started = time.perf_counter()
    engine.generate(image)
    seconds.append(time.perf_counter() - started)
print(json.dumps(seconds))
"""


def image_seconds(way: dict[str, str], images: int) -> list[float]:
    """Seconds of each image in a fresh process."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_OPENMP}
    done = subprocess.run(
        [sys.executable, "-c", _CODE, str(images)],
        env={**environment, **way},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(value) for value in json.loads(done.stdout)]


def measure(rounds: int, images: int) -> dict[str, float]:
    """Median seconds of an image, by way."""
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            seconds[name] += image_seconds(way, images)
    return {name: round(statistics.median(values), 3) for name, values in seconds.items()}


def main() -> None:
    """Measure; write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=3, help="of each process")
    options = parser.parse_args()
    idle = measure(options.rounds, options.images)
    counting = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        busy = measure(options.rounds, options.images)
    finally:
        counting.kill()
        counting.wait()
    result: dict[str, Any] = {
        **about(),
        "load_before": os.getloadavg()[0],
        "rounds": options.rounds,
        "images": options.images,
        "seconds_idle": idle,
        "seconds_beside_a_busy_process": busy,
    }
    write("waiting_threads", result)


if __name__ == "__main__":
    main()
