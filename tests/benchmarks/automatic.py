"""Time automatic masks against the official generator: same image, same weights, alternated.

    python -m tests.benchmarks.automatic --model vit_b --size 1800x1200 --repeats 3

There are no published weights on many machines; the network is then initialised from a seed, which
costs the same. Its masks mean nothing, so both sides get thresholds at which a share of candidates
passes that is usual for trained weights (the ``--passing`` share of predicted IoUs, measured on
the official side; stability is not asked for). Agreement is printed for what passes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from serving.sam.torchvision_ops import ensure_torchvision_ops

ensure_torchvision_ops()

import torch  # noqa: E402
from segment_anything import SamAutomaticMaskGenerator, sam_model_registry  # noqa: E402
from segment_anything.modeling import Sam  # noqa: E402

from serving.sam.allocator import keep_freed_memory  # noqa: E402
from serving.sam.architectures import infer_architecture  # noqa: E402
from serving.sam.automatic import AutomaticSettings  # noqa: E402
from serving.sam.checkpoints import LoadedCheckpoint  # noqa: E402
from serving.sam.engine import Engine  # noqa: E402
from serving.sam.masks import decode_mask  # noqa: E402

RESULTS = Path(__file__).with_name("results")


def seeded(model: str) -> Sam:
    """The official network with weights from a seed, none of them nought."""
    torch.manual_seed(0)
    sam = sam_model_registry[model]()
    for name, parameter in sam.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            torch.nn.init.normal_(parameter, std=0.02)
    return sam.eval()


def picture(width: int, height: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A photograph that scikit-image ships, at any size."""
    from PIL import Image
    from skimage import data

    return np.asarray(Image.fromarray(data.coffee()).resize((width, height)))


def agreement(found: list[Any], official: list[Any]) -> dict[str, int]:
    """Share of the official masks with a partner at IoU 0.99, and how many there are."""
    ours = [decode_mask(record["segmentation"]) for record in found]
    matched = 0
    for record in official:
        mask = decode_mask(record["segmentation"])
        best = max(((mask & m).sum() / max((mask | m).sum(), 1) for m in ours), default=0.0)
        matched += int(best >= 0.99)
    return {"official": len(official), "ours": len(found), "matched": matched}


def main() -> None:
    """Run both sides in turn; write a dated file with the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="vit_b", choices=sorted(sam_model_registry))
    parser.add_argument("--size", default="1800x1200")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--points-per-side", type=int, default=32)
    parser.add_argument("--passing", type=float, default=0.12, help="share of candidates")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--warm", action="store_true", help="keep freed memory, on both sides")
    parser.add_argument("--ours-only", action="store_true")
    arguments = parser.parse_args()
    if arguments.warm:
        keep_freed_memory()
    width, height = map(int, arguments.size.split("x"))
    image = picture(width, height)
    sam = seeded(arguments.model)
    loaded = LoadedCheckpoint(
        sam=sam,
        name=f"seeded {arguments.model}",
        sha256="",
        architecture=infer_architecture(sam.state_dict()),
        automatic=AutomaticSettings(),
    )
    engine = Engine(loaded, device="cpu", precision=arguments.precision)
    side = arguments.points_per_side
    threshold = quantile(engine, image, 1 - arguments.passing)
    values = {"points_per_side": side, "pred_iou_thresh": threshold, "stability_score_thresh": 0.0}
    settings = AutomaticSettings(**values)
    seconds: dict[str, list[float]] = {"ours": [], "official": []}
    result: dict[str, Any] = {}
    reference = seeded(arguments.model)
    for _ in range(arguments.repeats):
        started = time.monotonic()
        found = engine.generate(image, settings)
        seconds["ours"].append(time.monotonic() - started)
        if arguments.ours_only:
            continue
        generator = SamAutomaticMaskGenerator(reference, output_mode="coco_rle", **values)
        started = time.monotonic()
        official = generator.generate(image)
        seconds["official"].append(time.monotonic() - started)
        result["agreement"] = agreement(found, official)
    result |= {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "model": arguments.model,
        "size": arguments.size,
        "precision": arguments.precision,
        "allocator": "warm" if arguments.warm else "stock",
        "seconds": seconds,
        "medians": {name: statistics.median(v) for name, v in seconds.items() if v},
        "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    if seconds["official"]:
        medians = result["medians"]
        result["times_faster"] = medians["official"] / medians["ours"]
    print(json.dumps(result, indent=2))
    name = "-".join(
        ("automatic", arguments.model, arguments.size, f"{side}-points", arguments.precision)
    )
    name += f"-{result['allocator']}"
    (RESULTS / f"{name}-{result['date']}.json").write_text(json.dumps(result, indent=2) + "\n")


def quantile(engine: Engine, image: Any, share: float) -> float:
    """The predicted IoU that so large a share of the candidates of one image stay below."""
    network = engine._network
    with torch.inference_mode():
        features, (height, width) = network.embed(image)
        grid = torch.rand(128, 1, 2, generator=torch.Generator().manual_seed(0))
        points = grid * torch.tensor([width, height])
        labels = torch.ones(len(points), 1, dtype=torch.int)
        sparse, _ = network.sam.prompt_encoder(points=(points, labels), boxes=None, masks=None)
        scores = network.decoder.decode(network.decoder.prepare(features), sparse).scores[:, 1:]
    return float(scores.flatten().quantile(share))


if __name__ == "__main__":
    main()
