"""Masks against the official code and others: same image, same weights, in turn (A B A B ...).

    python -m tests.benchmarks.masks --transformers /elsewhere/bin/python

Each side is a process of its own that waits while another computes, so its memory is its own too.
The network has the shape of vit_b and the function of the embedded checkpoint (tests/widened.py),
so that its masks lie on objects; it costs what Meta's weights cost. The official code and ours run
twice: with the C library's allocator as it is, and with settings that keep freed memory in the
process; the others once, as it is. An hour on two cores. ``python -m tests.benchmarks.table`` makes
the tables of ``docs/speed.md`` from the newest result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from scripts.checkout import ROOT
from tests.agreement import compare
from tests.benchmarks.record import RESULTS, about, write
from tests.widened import SETTINGS, widened

WARM = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "20000000000",
    "MALLOC_TOP_PAD_": "67108864",
}
THRESHOLDS = {
    "pred_iou_thresh": SETTINGS.pred_iou_thresh,
    "stability_score_thresh": SETTINGS.stability_score_thresh,
}
STEP_IMAGES = 2
Json = dict[str, Any]


class Process:
    """One side, started and waiting."""

    def __init__(self, name: str, command: list[str], *, warm: bool, folder: Path = ROOT) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
        self.name, self.peak_gb = name, 0.0
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment | (WARM if warm else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._answer()

    def _answer(self) -> Json:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"error: {self.name} ended: run its command by hand to see why")
        answer: Json = json.loads(line)
        return answer

    def __call__(self, do: str, **request: Any) -> float:
        """Have it done; the seconds it took there."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.peak_gb = answer["peak_gb"]
        self.result = answer["result"]
        seconds = float(answer["seconds"])
        if do not in ("load", "write_records"):
            print(f"  {self.name} {do}: {seconds:.3f} s", file=sys.stderr, flush=True)
        return seconds

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def sides(
    names: list[str], weights: Path, other: str | None, device: str, *, warm: bool
) -> Iterator[Any]:
    """Start sides by name: ``ours-fp32``, ``official``, ``original``, ``transformers``."""
    started: dict[str, Process] = {}
    try:
        for name in names:
            kind, _, precision = name.partition("-")
            if kind == "transformers":
                if other is None:
                    continue
                script = str(Path(__file__).parent / "sides" / "hugging_face.py")
                command = [other, script, str(weights)]
            else:
                module = "tests.benchmarks.sides.project"
                command = [sys.executable, "-m", module, kind, str(weights)]
                command += [precision or "fp32", device]
            started[name] = Process(name, command, warm=warm)
        yield started
    finally:
        for process in started.values():
            process.stop()


def in_turn(started: dict[str, Process], repeats: int, do: str, **request: Any) -> Json:
    """Medians and all seconds of every side, one after the other, ``repeats`` times."""
    seconds: dict[str, list[float]] = {name: [] for name in started}
    for _ in range(repeats):
        for name, process in started.items():
            seconds[name].append(process(do, **request))
    return {
        name: {
            "median": round(statistics.median(values), 4),
            "all": [round(value, 4) for value in values],
        }
        for name, values in seconds.items()
    }


def automatic(started: dict[str, Process], folder: Path, image: Path, repeats: int) -> Json:
    """Automatic masks of one image on every side, and how far ours agree with the official."""
    for process in started.values():
        process("load", image=str(image))
    result: Json = {
        "seconds": in_turn(started, repeats, "automatic", points_per_side=32, **THRESHOLDS)
    }
    result["masks"] = {name: process.result for name, process in started.items()}
    records = {}
    for name, process in started.items():
        if name.startswith(("ours", "official")):
            process("write_records", path=str(folder / name))
            records[name] = json.loads((folder / name).read_text())
    result["agreement"] = {
        name: compare(masks, records["official"], 0.99 if name.endswith("fp32") else 0.95).to_json()
        for name, masks in records.items()
        if name.startswith("ours")
    }
    result["peak_gb"] = {name: round(process.peak_gb, 2) for name, process in started.items()}
    return result


def prompted(started: dict[str, Process], image: Path, repeats: int) -> Json:
    """One point on a new image, again on the same, and 64 points on it."""
    point = [900.0, 600.0]
    grid = [[100.0 + 220 * (n % 8), 75.0 + 150 * (n // 8)] for n in range(64)]
    for process in started.values():
        process("load", image=str(image))
    result: Json = {"embed": in_turn(started, repeats, "embed")}
    for do in ("point", "decoder"):
        for process in started.values():
            process(do, point=point)  # its first call
        result[do] = in_turn(started, 3 * repeats, do, point=point)
    result["many"] = in_turn(started, repeats, "many", points=grid)
    return result


def original(started: dict[str, Process], image: Path, repeats: int) -> Json:
    """The predecessor's way: a prompted request, automatic masks, and its pipeline's step."""
    for process in started.values():
        process("load", image=str(image))
    request: Json = {name: [] for name in started}
    for _ in range(repeats):
        request["original"].append(started["original"]("point", point=[900, 600]))
        ours = started["ours-fp32"]
        request["ours-fp32"].append(ours("embed") + ours("point", point=[900, 600]))
    alone = {"original": started["original"]}
    once = in_turn(alone, 1, "automatic", points_per_side=32)
    peak = started["original"].peak_gb
    step = in_turn(alone, 1, "step", points_per_side=32, images=STEP_IMAGES)
    return {
        "request": {
            name: {"median": statistics.median(v), "all": v} for name, v in request.items()
        },
        "automatic": once,
        "peak_gb": round(peak, 2),
        "step": {**step, "images": STEP_IMAGES},
        "step_peak_gb": round(started["original"].peak_gb, 2),
    }


def main() -> None:
    """Measure everything; write a dated file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="vit_b", choices=("vit_b", "vit_l"))
    parser.add_argument("--size", default="1800x1200")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--transformers", metavar="PYTHON", help="of an environment that has it")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--only",
        choices=("stock", "warm", "original", "prompted"),
        help="one part; those that the day's file has stay",
    )
    arguments = parser.parse_args()
    import torch
    from PIL import Image
    from skimage import data

    width, height = map(int, arguments.size.split("x"))
    result: Json = {
        **about(),
        "model": f"{arguments.model}, widened",
        "image": f"astronaut, {width}x{height}",
        "points_per_side": 32,
        "repeats": arguments.repeats,
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu",
    }
    earlier = RESULTS / f"masks-{result['date']}.json"
    if arguments.only and earlier.exists():
        result = json.loads(earlier.read_text("utf-8"))
    parts = [arguments.only] if arguments.only else ["warm", "stock", "original"]
    compared = ["official", "ours-fp32", "ours-bf16"]
    if arguments.device == "cuda":
        compared += ["ours-fp16"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights, image = folder / "weights.pth", folder / "image.npy"
        torch.save(widened(arguments.model).sam.state_dict(), weights)
        np.save(image, np.asarray(Image.fromarray(data.astronaut()).resize((width, height))))

        def together(names: list[str], *, warm: bool) -> AbstractContextManager[Any]:
            return sides(names, weights, arguments.transformers, arguments.device, warm=warm)

        for part in parts:
            if part == "original":
                with together(["original", "ours-fp32"], warm=False) as started:
                    result[part] = original(started, image, arguments.repeats)
            elif part == "prompted":  # of both allocators, without their automatic masks
                for allocator in ("warm", "stock"):
                    with together(compared, warm=allocator == "warm") as started:
                        again = prompted(started, image, arguments.repeats)
                        result.setdefault(allocator, {})["prompted"] = again
            else:
                others = ["transformers"] if part == "stock" else []
                with together(compared + others, warm=part == "warm") as started:
                    result[part] = automatic(started, folder, image, arguments.repeats)
                    started.pop("transformers", None)
                    result[part]["prompted"] = prompted(started, image, arguments.repeats)
            write("masks", result)  # an hour is long: what there is, is kept


if __name__ == "__main__":
    main()
