"""Matrix products of the network's sizes, PyTorch's and ours (``serving.sam.machine.products``).

    python -m tests.benchmarks.products

PyTorch's float32 products are MKL's, ours oneDNN's; in bfloat16 both are oneDNN's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F

from serving.sam.machine.allocator import keep_freed_memory
from serving.sam.machine.products import has_onednn, linear
from tests.benchmarks.record import about, write

# Rows, channels read, channels written: vit_b's blocks, then the mask decoder's.
SIZES = ((4096, 768, 3072), (4096, 3072, 768), (4096, 768, 2304), (56, 256, 4096), (2752, 256, 256))


def gflops(work: Callable[[], object], operations: int) -> float:
    """The best of some calls."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return round(operations / best / 1e9, 1)


def main() -> None:
    """Measure; write a dated file."""
    keep_freed_memory()
    result: dict[str, Any] = {**about(), "onednn": has_onednn(torch.float32), "gflop_per_s": {}}
    with torch.inference_mode():
        for rows, read, written in SIZES:
            for dtype in (torch.float32, torch.bfloat16):
                value, weight = torch.randn(rows, read), torch.randn(written, read)
                value, weight = value.to(dtype), weight.to(dtype)
                operations = 2 * rows * read * written
                result["gflop_per_s"][f"{rows} x {read} x {written}, {dtype}"] = {
                    "torch": gflops(lambda v=value, w=weight: F.linear(v, w), operations),  # type: ignore[misc]
                    "ours": gflops(lambda v=value, w=weight: linear(v, w), operations),  # type: ignore[misc]
                }
    write("products", result)


if __name__ == "__main__":
    main()
