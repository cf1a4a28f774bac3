"""The two mask decoders beside each other: CPU time a prompt, and how many masks bfloat16 moves.

    python -m tests.benchmarks.decoders             # under ten minutes on two idle cores

The network has the shape of vit_b (tests/widened.py). Each figure is CPU time of one thread, of
all sides in turn, so that other work on the machine changes it little; the smallest of many counts.
``low_rank`` is what a CPU decodes with, ``full`` makes the image tokens of each prompt, as a GPU
does. The masks of bfloat16 are compared with those of float32, whose masks are the official ones
(tests.benchmarks.parity): once with the encoder alone in bfloat16, as a CPU computes, and once with
the decoder as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from serving.sam.batched_decoder import BatchedDecoder
from serving.sam.engine import Engine
from serving.sam.low_rank_decoder import LowRankDecoder
from serving.sam.machine.allocator import keep_freed_memory
from serving.sam.mask_decoder import MaskDecoder
from tests.agreement import Agreement, compare
from tests.benchmarks.parity import IMAGES, picture, share
from tests.benchmarks.record import RESULTS, about, write
from tests.widened import widened

BATCH = 16  # prompts at once, as a CPU takes them
WANTED = 4  # one mask of every fourth prompt is upscaled, about as many as pass in a photograph
EXTENT = (43, 64)  # of a photograph of 3:2


def _cpu_ms(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return (time.thread_time() - started) * 1e3


def cost(engine: Engine, prompts: int, repeats: int) -> dict[str, dict[str, float]]:
    """CPU milliseconds of every decoder: of a prompt, of an upscaled mask, of an image."""
    sam = engine.checkpoint.sam
    decoders: dict[str, MaskDecoder[Any, Any]] = {
        "low_rank": LowRankDecoder(sam),
        "full": BatchedDecoder(sam),
        "full_bf16": BatchedDecoder(sam, torch.bfloat16),
    }
    features = engine.embed(picture("astronaut", 1800, 1200)).features
    random = np.random.default_rng(0)
    coords = torch.as_tensor(random.uniform(0, 1, (prompts, 1, 2)) * np.array([1024, 682]))
    labels = torch.ones(prompts, 1, dtype=torch.int)
    sparse, _ = sam.prompt_encoder(points=(coords, labels), boxes=None, masks=None)
    figures: dict[str, dict[str, list[float]]] = {
        name: {"prompt": [], "mask": [], "image": []} for name in decoders
    }
    for _ in range(repeats):
        for name, decoder in decoders.items():
            figures[name]["image"].append(_cpu_ms(lambda d=decoder: d.prepare(features)))  # type: ignore[misc]
            image = decoder.prepare(features)
            decoding = upscaling = 0.0
            for start in range(0, prompts, BATCH):
                part = sparse[start : start + BATCH]
                before = time.thread_time()
                decoded = decoder.decode(image, part)
                decoding += time.thread_time() - before
                wanted = [[n, 1] for n in range(len(part)) if (start + n) % WANTED == 0]
                if wanted:
                    before = time.thread_time()
                    decoder.upscale(decoded, torch.tensor(wanted), EXTENT)
                    upscaling += time.thread_time() - before
            figures[name]["prompt"].append(decoding / prompts * 1e3)
            figures[name]["mask"].append(upscaling / (prompts / WANTED) * 1e3)
    return {
        name: {what: round(min(values), 2) for what, values in of_decoder.items()}
        for name, of_decoder in figures.items()
    }


def agreement(exact: Engine, half: Engine, points_per_side: int) -> dict[str, Any]:
    """Masks of bfloat16 that float32 has too, at IoU 0.95, over the images of ``parity``."""
    settings = dataclasses.replace(exact.checkpoint.automatic, points_per_side=points_per_side)
    network = half._network
    networks = {
        "encoder": network,
        "encoder and decoder": dataclasses.replace(
            network, decoder=BatchedDecoder(network.sam, torch.bfloat16)
        ),
    }
    found: dict[str, list[Agreement]] = {name: [] for name in networks}
    for name, width, height in IMAGES:
        image = picture(name, width, height)
        expected = exact.generate(image, settings)
        for what, each in networks.items():
            half._network = each
            records = half.generate(image, settings)
            found[what].append(compare(records, expected, 0.95))
            print(f"{name} {width}x{height}, bfloat16 in {what}: {found[what][-1]}", flush=True)
    return {
        "points_per_side": points_per_side,
        "masks": sum(each.reference for each in found["encoder"]),
        "matched_share_at_iou_0.95": {what: round(share(v), 4) for what, v in found.items()},
    }


def main() -> None:
    """Measure; write a dated file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--points-per-side", type=int, default=16)
    parser.add_argument(
        "--only", choices=("cost", "agreement"), help="the other part of the day's file stays"
    )
    arguments = parser.parse_args()
    keep_freed_memory()
    exact = Engine(widened("vit_b"), device="cpu", precision="fp32")
    result: dict[str, Any] = {
        **about(),
        "load_average": round(os.getloadavg()[0], 1),
        "note": "CPU time of one thread, in turn; with a load above 2 others used the machine",
    }
    earlier = RESULTS / f"decoders-{result['date']}.json"
    if arguments.only and earlier.exists():
        result = json.loads(earlier.read_text("utf-8")) | result
    if arguments.only != "agreement":
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        with torch.inference_mode():
            result["cpu_ms"] = cost(exact, arguments.prompts, arguments.repeats)
        torch.set_num_threads(threads)
        print(result["cpu_ms"], flush=True)
    if arguments.only != "cost":
        half = Engine(widened("vit_b"), device="cpu", precision="bf16")
        result["agreement"] = agreement(exact, half, arguments.points_per_side)
    write("decoders", result)


if __name__ == "__main__":
    main()
