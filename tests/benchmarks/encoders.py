"""CPU time of the image encoders, alternated: the official ones and ours, one thread.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.encoders [--rounds 3]

Networks of published shape with weights from a seed: what they compute does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch

from serving.sam.architectures import MOBILE_SAM, VIT_B
from serving.sam.families.table import MOBILE, SAM
from serving.sam.machine.allocator import keep_freed_memory
from tests.mobile_sam import official_mobile_sam


def main() -> None:
    """Measure and print one JSON object: the least CPU seconds of each encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    keep_freed_memory()
    torch.set_num_threads(1)
    vit_b, mobile, official = VIT_B.build(), MOBILE_SAM.build(), official_mobile_sam()
    sides: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "vit_b, ours": SAM.encoder(vit_b, torch.float32),
        "mobile_sam, official": official.image_encoder,
        "mobile_sam, ours": MOBILE.encoder(mobile, torch.float32),
        "mobile_sam, ours, bf16": MOBILE.encoder(mobile, torch.bfloat16),
    }
    square = torch.randn(1, 3, 1024, 1024)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    with torch.inference_mode():
        for _ in range(rounds + 1):  # the first warms up
            for name, encode in sides.items():
                begun = time.process_time()
                encode(square)
                seconds[name].append(time.process_time() - begun)
    print(json.dumps({name: round(min(each[1:]), 2) for name, each in seconds.items()}))


if __name__ == "__main__":
    main()
