"""How the engine's cost grows with the image and with prompts, by stage, and whole runs.

    python -m tests.benchmarks.growth

Run by hand on an otherwise idle machine; ten minutes on two cores. Whole runs are the
command line, from a folder of photographs to the report, with the embedded checkpoint and with one
of vit_b's shape (tests/widened.py).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.engine import Engine
from serving.sam.machine.allocator import keep_freed_memory
from serving.sam.prompts import Prompt
from tests.benchmarks.parity import network, picture
from tests.benchmarks.record import about, write
from tests.widened import SETTINGS, widened

PHOTOGRAPHS = ("astronaut", "coffee", "chelsea", "rocket", "camera", "coins")


def timed(work: Callable[[], object]) -> float:
    """Seconds of a call, after one to warm up."""
    work()
    started = time.perf_counter()
    work()
    return round(time.perf_counter() - started, 3)


def stages(engine: Engine, settings: AutomaticSettings) -> dict[str, float]:
    """Seconds of each stage of automatic masks of one 1800x1200 image, and how many cores ran."""
    import serving.sam.generator as generator
    from serving.sam.low_rank_decoder import LowRankDecoder

    spent: dict[str, float] = defaultdict(float)

    def watch(owner: Any, name: str, label: str) -> Callable[[], None]:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                spent[label] += time.perf_counter() - started

        setattr(owner, name, watched)
        return lambda: setattr(owner, name, original)

    restore = [
        watch(LowRankDecoder, "decode", "decoder"),
        watch(LowRankDecoder, "upscale", "upscaling of passing masks"),
        watch(generator, "measure", "size, box and stability"),
        watch(generator, "draw", "bitmaps of kept masks"),
        watch(generator, "encode_mask", "run lengths of kept masks"),
    ]
    image = picture("astronaut", 1800, 1200)
    engine.generate(image, settings)
    spent.clear()
    started, computed = time.perf_counter(), time.process_time()
    engine.generate(image, settings)
    whole = time.perf_counter() - started
    cores = (time.process_time() - computed) / whole
    for put_back in restore:
        put_back()
    encoder = timed(lambda: engine.embed(image))
    seconds = {"whole": whole, "image encoder": encoder, **spent}
    seconds["rest"] = whole - encoder - sum(spent.values())  # the encoder's is of another call
    seconds["cores busy"] = cores
    return {label: round(value, 3) for label, value in seconds.items()}


def whole_run(weights: str, repeats: int, folder: Path) -> dict[str, float]:
    """``sam-vertex run`` over photographs: seconds, images a minute, peak memory of its shard."""
    source, output = folder / "photographs", folder / "output"
    source.mkdir()
    for number in range(repeats):
        for name in PHOTOGRAPHS:
            image = Image.fromarray(picture(name, 640, 480))
            image.save(source / f"{name}-{number}.jpg", quality=92)
    command = [str(Path(sys.executable).with_name("sam-vertex")), "run", str(source)]
    command += ["--output", str(output), "--checkpoint", weights, "--family", "sam", "--json"]
    started = time.monotonic()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    seconds = time.monotonic() - started
    count = len(PHOTOGRAPHS) * repeats
    assert json.loads(done.stdout)["failed"] == 0
    figures = json.loads((output / "metrics.json").read_text("utf-8"))["run"]
    return {
        "images": count,
        "seconds": round(seconds, 1),
        "images_per_minute": round(60 * count / seconds, 2),
        "peak_gb": round(figures["peak_memory_bytes"] / 1e9, 2),
    }


def main() -> None:
    """Measure; write a dated file."""
    import torch

    result: dict[str, Any] = {**about(), "seconds": {}, "runs": {}, "stages": {}}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "widened.pth"
        torch.save(widened("vit_b").sam.state_dict(), weights)
        tiny, large = ("vit_tiny", "vit_tiny"), ("vit_b", str(weights))
        for number, ((label, given), repeats) in enumerate(((tiny, 2), (tiny, 20), (large, 1))):
            (folder / str(number)).mkdir()
            run = whole_run(given, repeats, folder / str(number))
            result["runs"][f"`sam-vertex run`, {run['images']} photographs, {label}"] = run
            write("growth", result)
    keep_freed_memory()
    engine = Engine(network("vit_b"), device="cpu", precision="fp32")
    for precision in ("fp32", "bf16"):
        other = Engine(network("vit_b"), device="cpu", precision=precision)
        result["stages"][precision] = stages(other, SETTINGS)
        write("growth", result)
    seconds = result["seconds"]
    for width, height in ((320, 240), (1024, 768), (1800, 1200), (4000, 3000), (8192, 8192)):
        image = picture("astronaut", width, height)
        settings = AutomaticSettings(
            points_per_side=8, pred_iou_thresh=0.5, stability_score_thresh=0.75
        )
        label = f"vit_b, automatic, {width}x{height}, 64 points"
        seconds[label] = timed(lambda i=image, s=settings: engine.generate(i, s))  # type: ignore[misc]
        write("growth", result)
    image = picture("astronaut", 1800, 1200)
    embedding = engine.embed(image)
    for count in (1, 16, 256):
        corners = np.random.default_rng(0).uniform((0, 0), (1800, 1200), (count, 2))
        prompts = [Prompt(points=((float(x), float(y)),), labels=(1,)) for x, y in corners]
        label = f"vit_b, {count} point{'s' * (count > 1)} on an embedded 1800x1200 image"
        seconds[label] = timed(lambda p=prompts: engine.segment(embedding, p))  # type: ignore[misc]
    result["peak_gb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
    write("growth", result)


if __name__ == "__main__":
    main()
