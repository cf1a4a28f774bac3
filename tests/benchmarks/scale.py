"""The pipeline at scale: memory over many images, busy share, plan and report of 100,000.

Run by hand, on an otherwise idle machine: ``python -m tests.benchmarks.scale`` (20 minutes; with a
name of a part, that part alone, and ``million`` only so: half an hour, 10 GB of disk). The figures
go to ``tests/benchmarks/results/scale-<date>.json``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.run.manifest import ManifestRow, read_json, read_plan
from pipeline.run.output_layout import PLAN, masks_name
from pipeline.run.parameters import RunParameters
from serving.storage import open_folder
from tests.benchmarks import record
from tests.conftest import draw_scene

MANY = 100_000
FEW_IMAGES, MANY_IMAGES = 100, 2000
SHARDS = 16
# A process of its own, so that its peak of memory is the step's.
STEP = """
import json, resource, sys, time
from pipeline.run.parameters import RunParameters
run = RunParameters.from_json(sys.argv[1])
started = time.perf_counter()
if sys.argv[2] == "plan":
    from pipeline.steps.plan_shards import plan_shards
    count = len(plan_shards(run))
else:
    from pipeline.steps.write_report import write_report
    rows = [f".run/shard-{n:04d}.rows.jsonl" for n in range(run.shards)]
    count = write_report(run, rows, "local").images
print(json.dumps({
    "seconds": round(time.perf_counter() - started, 2),
    "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    "count": count,
}))
"""


def step(run: RunParameters, name: str) -> dict[str, Any]:
    """Run one step in a process; its seconds and its peak of memory."""
    command = [sys.executable, "-c", STEP, run.to_json(), name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def write_listing(folder: Path, count: int) -> None:
    """So many image files: links to a hundred different ones, under names of their own."""
    sources = folder.parent / "sources"
    sources.mkdir()
    for number in range(100):
        scene = draw_scene(64 + number % 50, 48 + number % 30)
        Image.fromarray(scene).save(sources / f"{number}.png")
    for number in range(count):
        subfolder = folder / f"{number // 1000:03d}"
        if number % 1000 == 0:
            subfolder.mkdir(parents=True)
        os.link(sources / f"{number % 100}.png", subfolder / f"{number:06d}.png")


def write_manifests(run: RunParameters) -> None:
    """What 16 shards would have left: masks files with three masks each, and their rows."""
    output = open_folder(run.output)
    rows: list[list[str]] = [[] for _ in range(run.shards)]
    mask = {
        "segmentation": {"size": [48, 64], "counts": "aU1" * 80},
        "area": 812, "bbox": [4, 5, 30, 28], "predicted_iou": 0.91,
        "stability_score": 0.95, "point_coords": [[10.0, 12.0]], "crop_box": [0, 0, 64, 48],
    }  # fmt: skip
    for number, image in enumerate(read_plan(output, PLAN)):
        content = {
            "fingerprint": image.fingerprint, "image": image.name, "source": image.source,
            "digest": image.digest, "width": 64, "height": 48, "mode": "automatic",
            "settings": {}, "checkpoint": {"name": "vit_tiny", "sha256": "0" * 64},
            "precision": "fp32", "device": "cpu", "shard": f"shard-{number % run.shards:04d}",
            "seconds": {"read": 0.001, "segment": 0.1, "draw": 0.02, "write": 0.01},
            "masks": [mask] * 3,
            "outlines": {"width": 64, "height": 48, "paths": ["M4 5L34 5L34 33L4 33Z"] * 3},
        }  # fmt: skip
        path = Path(run.output, masks_name(image.name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, separators=(",", ":")), "utf-8")
        row = ManifestRow(image=image.name, status="done", masks=3)
        rows[number % run.shards].append(row.to_line())
    for number, lines in enumerate(rows):
        name = f".run/shard-{number:04d}.rows.jsonl"
        output.write_bytes(name, "".join(lines).encode(), "application/jsonl")


def coordinator(folder: Path, count: int = MANY) -> dict[str, Any]:
    """Seconds and memory of planning and of reporting, and of planning when all is done."""
    write_listing(folder / "images", count)
    run = RunParameters(inputs=(str(folder / "images"),), output=str(folder / "out"), shards=SHARDS)
    planned = step(run, "plan")
    write_manifests(run)
    reported = step(run, "report")
    page = Path(run.output, "report.html").stat().st_size
    again = step(run, "plan")
    return {
        "images": count,
        "plan": planned,
        "report": reported,
        "plan_when_all_is_done": again,
        "report_html_megabytes": round(page / 1e6, 1),
    }


def run_images(images: Path, output: Path, *options: str) -> dict[str, Any]:
    """``sam-vertex run``; the content of its ``metrics.json``."""
    program = str(Path(sys.executable).with_name("sam-vertex"))
    command = [program, "run", str(images), "--output", str(output), *options]
    subprocess.run(command, check=True)
    metrics: dict[str, Any] = read_json(open_folder(str(output)), "metrics.json")
    return metrics


def memory(folder: Path) -> dict[str, Any]:
    """Peak of a shard's memory over 100 and over 2,000 images of the same sizes."""
    figures: dict[str, Any] = {}
    for count in (FEW_IMAGES, MANY_IMAGES):
        images = folder / f"images-{count}"
        images.mkdir()
        for number in range(count):
            scene = draw_scene(320 + number % 20 * 8, 240 + number % 11 * 10)
            Image.fromarray(scene).save(images / f"{number:04d}.jpg", quality=90)
        metrics = run_images(images, folder / f"out-{count}", "--points-per-side", "4")
        figures[str(count)] = {
            "peak_megabytes": metrics["run"]["peak_memory_bytes"] // 2**20,
            "images_per_second": metrics["images_per_second"],
            "busy_share": metrics["run"]["busy_share"],
            "wall_seconds": metrics["run"]["wall_seconds"],
        }
    few, many = (figures[str(count)]["peak_megabytes"] for count in (FEW_IMAGES, MANY_IMAGES))
    return {**figures, "many_against_few": round(many / few, 3)}


def photographs(folder: Path) -> dict[str, Any]:
    """Busy share and throughput over photographs, automatic masks with the default grid."""
    from skimage import data

    images = folder / "photographs"
    images.mkdir()
    names = ("astronaut", "chelsea", "coffee", "coins", "rocket")
    for number in range(60):
        picture = Image.fromarray(getattr(data, names[number % len(names)])()).convert("RGB")
        width = 480 + 16 * (number % 12)
        height = round(picture.height * width / picture.width)
        picture.resize((width, height)).save(images / f"{number:02d}.jpg", quality=90)
    metrics = run_images(images, folder / "out-photographs")
    return {
        key: metrics[key]
        for key in ("images", "images_per_second", "seconds_per_stage", "masks", "run")
    }


def million(folder: Path) -> dict[str, Any]:
    """As :func:`coordinator`, of ten times as many."""
    return coordinator(folder, 10 * MANY)


PARTS = {"coordinator": coordinator, "photographs": photographs, "memory": memory}
BY_NAME = PARTS | {"million": million}


def main() -> None:
    """Measure, print, and write the dated file; parts that are not asked for are kept in it."""
    result = record.about()
    path = record.RESULTS / f"scale-{result['date']}.json"
    if path.exists():
        result = {**json.loads(path.read_text("utf-8")), **result}
    for name in sys.argv[1:] or PARTS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            result[name] = BY_NAME[name](Path(folder))
        print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
    record.write("scale", result)


if __name__ == "__main__":
    main()
