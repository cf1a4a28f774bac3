"""This engine, an earlier one and the official code, in turn, over three photographs.

    git worktree add /elsewhere 29496a8
    python -m tests.benchmarks.before_after --before /elsewhere

Each side is a process that waits while another computes, with freed memory kept in the process, as
our commands have it. The network is the widened vit_b (tests/widened.py). A quarter of an hour on
two idle cores. ``python -m tests.contracts.generated --write`` puts the result into
``docs/speed.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.checkout import ROOT
from serving.sam.engine import Engine
from tests.benchmarks.masks import THRESHOLDS, Json, Process, in_turn
from tests.benchmarks.parity import picture
from tests.benchmarks.record import about, write
from tests.widened import SETTINGS, widened

PHOTOGRAPHS = ("astronaut", "coffee", "rocket")
WIDTH, HEIGHT = 1800, 1200
PRECISIONS = ("fp32", "bf16")
POINTS = [[150.0 + 300 * (n % 6), 150.0 + 225 * (n // 6)] for n in range(30)]


@contextlib.contextmanager
def started(weights: Path, before: Path) -> Iterator[dict[str, Process]]:
    """``official``, and ``before`` and ``now`` in each precision."""
    processes: dict[str, Process] = {}

    def start(name: str, kind: str, precision: str, folder: Path) -> None:
        module = [sys.executable, "-m", "tests.benchmarks.sides.project"]
        command = [*module, kind, str(weights), precision, "cpu"]
        processes[name] = Process(name, command, warm=True, folder=folder)

    try:
        start("official", "official", "fp32", ROOT)
        for precision in PRECISIONS:
            start(f"before, {precision}", "ours", precision, before)
            start(f"now, {precision}", "ours", precision, ROOT)
        yield processes
    finally:
        for process in processes.values():
            process.stop()


def percentiles(seconds: list[float]) -> Json:
    """Median and 95th percentile in milliseconds."""
    return {
        "p50_ms": round(float(np.percentile(seconds, 50)) * 1e3, 1),
        "p95_ms": round(float(np.percentile(seconds, 95)) * 1e3, 1),
    }


def photograph(processes: dict[str, Process], image: Path, repeats: int) -> Json:
    """Everything of one photograph: embedding, automatic masks, single points."""
    for process in processes.values():
        process("load", image=str(image))
    ours = {name: process for name, process in processes.items() if name != "official"}
    official = {"official": processes["official"]}

    def both(do: str, times: int, **request: Any) -> Json:
        return in_turn(official, 1, do, **request) | in_turn(ours, times, do, **request)

    automatic = both("automatic", repeats, points_per_side=32, **THRESHOLDS)
    masks = {name: process.result for name, process in processes.items()}
    embed = both("embed", repeats)
    points: dict[str, list[float]] = {name: [] for name in processes}
    for point in POINTS:
        for name, process in processes.items():
            points[name].append(process("point", point=point))
    return {
        "masks": masks,
        "automatic": {name: each["median"] for name, each in automatic.items()},
        "embed": {name: each["median"] for name, each in embed.items()},
        "point": {name: percentiles(seconds) for name, seconds in points.items()},
        "peak_gb": {name: round(process.peak_gb, 2) for name, process in processes.items()},
    }


def candidates(name: str) -> int:
    """Masks that are good enough by their score; the rest of the work throws most of them away."""
    everything = type(SETTINGS)(
        pred_iou_thresh=SETTINGS.pred_iou_thresh, stability_score_thresh=0.0, box_nms_thresh=1.0
    )
    return len(Engine(widened("vit_b")).generate(picture(name, WIDTH, HEIGHT), everything))


def main() -> None:
    """Measure and write a dated file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--before", type=Path, required=True, help="a checkout of the earlier code")
    parser.add_argument("--repeats", type=int, default=2, help="of ours; the official code: once")
    arguments = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=arguments.before, check=True, text=True,
        capture_output=True,
    ).stdout.strip()  # fmt: skip
    result: Json = {
        **about(),
        "load_average": os.getloadavg()[0],
        "model": "vit_b, widened",
        "image": f"{WIDTH}x{HEIGHT}",
        "points_per_side": 32,
        "before": commit,
        "repeats": arguments.repeats,
        "photographs": {},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.save(widened("vit_b").sam.state_dict(), folder / "weights.pth")
        with started(folder / "weights.pth", arguments.before) as processes:
            for subject in PHOTOGRAPHS:
                np.save(folder / "image.npy", picture(subject, WIDTH, HEIGHT))
                measured = photograph(processes, folder / "image.npy", arguments.repeats)
                result["photographs"][subject] = measured
    for subject in PHOTOGRAPHS:
        result["photographs"][subject]["candidates"] = candidates(subject)
    sides = result["photographs"][PHOTOGRAPHS[0]]["automatic"]
    result["median"] = {
        side: round(
            statistics.median(each["automatic"][side] for each in result["photographs"].values()), 2
        )
        for side in sides
    }
    write("before-after", result)


if __name__ == "__main__":
    main()
