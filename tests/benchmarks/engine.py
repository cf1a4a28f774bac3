"""Seconds an image with the embedded checkpoint: embed, one prompt, automatic masks.

Run by hand, on an otherwise idle machine: ``make bench``. Ours and the official generator run in
turn (A B A B ...); the medians go to ``tests/benchmarks/results/engine-<date>.json``.
"""

from __future__ import annotations

import datetime
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.sam.machine.allocator import keep_freed_memory
from serving.sam.prompts import Prompt

REPEATS = 5
PHOTOGRAPHS = ("astronaut", "coffee", "rocket")
RESULTS = Path(__file__).parent / "results"


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(engine: Engine, image: RgbImage) -> dict[str, float]:
    """Medians over alternated repeats, after one warm-up of each."""
    from segment_anything import SamAutomaticMaskGenerator

    settings = {**engine.checkpoint.automatic.to_json(), "points_per_batch": 64}
    official = SamAutomaticMaskGenerator(engine.checkpoint.sam, **settings)
    embedding = engine.embed(image)
    middle = Prompt(points=((image.shape[1] / 2, image.shape[0] / 2),), labels=(1,))
    sides: dict[str, Callable[[], object]] = {
        "embed": lambda: engine.embed(image),
        "prompt": lambda: engine.predict(embedding, middle, multimask_output=True),
        "automatic": lambda: engine.generate(image),
        "official_automatic": lambda: official.generate(image),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for work in sides.values():
        work()
    for _ in range(REPEATS):
        for name, work in sides.items():
            times[name].append(seconds(work))
    return {name: round(statistics.median(values), 4) for name, values in times.items()}


def main() -> None:
    """Measure, print, and write the dated file."""
    import torch
    from skimage import data

    warm = keep_freed_memory()
    entry = CHECKPOINTS["vit_tiny"]
    if entry.embedded_path is None:
        raise SystemExit("error: no embedded checkpoint")
    engine = Engine.load(entry.embedded_path, entry)
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "device": str(engine.device),
        "precision": engine.precision,
        "allocator_kept_warm": warm,
        "repeats": REPEATS,
        "median_seconds": {name: measure(engine, getattr(data, name)()) for name in PHOTOGRAPHS},
    }
    text = json.dumps(result, indent=2)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"engine-{result['date']}.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
