"""How far our masks agree with the official generator's, over images of many sizes and networks.

    python -m tests.benchmarks.parity                       # all of it, half an hour on two cores
    python -m tests.benchmarks.parity --model vit_tiny --precision bf16

Exact precision has to match every mask at IoU 0.99, with none extra and none missing; half
precision 98 of 100 at IoU 0.95 (the command fails otherwise). ``vit_tiny`` is the embedded
checkpoint, ``vit_b`` the widened one (tests/widened.py): both find real things. The official side
computes in float32, always.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from typing import Any

import numpy as np
from PIL import Image

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.checkpoints import LoadedCheckpoint, load_checkpoint
from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.sam.machine.devices import PRECISIONS, Precision
from tests.agreement import Agreement, compare
from tests.benchmarks.record import about, write
from tests.conftest import draw_scene
from tests.widened import widened

# A photograph that scikit-image ships or a drawn scene, and the size it is brought to (W, H).
IMAGES: tuple[tuple[str, int, int], ...] = (
    ("astronaut", 512, 512),
    ("astronaut", 1800, 1200),
    ("coffee", 600, 400),
    ("coffee", 97, 61),
    ("coins", 384, 303),
    ("coins", 1500, 1100),
    ("chelsea", 451, 300),
    ("chelsea", 900, 200),
    ("rocket", 640, 427),
    ("rocket", 150, 1000),
    ("camera", 256, 256),
    ("camera", 1024, 1024),
    ("scene", 320, 240),
    ("scene", 2400, 1600),
)
LEAST = {"fp32": (0.99, 1.0), "bf16": (0.95, 0.98), "fp16": (0.95, 0.98)}


def picture(name: str, width: int, height: int) -> RgbImage:
    """One image of the list: (height, width, 3) uint8."""
    if name == "scene":
        return draw_scene(width, height)
    from skimage import data

    image = Image.fromarray(getattr(data, name)()).convert("RGB")
    return np.asarray(image.resize((width, height)))


def network(model: str) -> LoadedCheckpoint:
    """The embedded checkpoint, or its function in a larger shape."""
    if model != "vit_tiny":
        return widened(model)
    path = CHECKPOINTS["vit_tiny"].embedded_path
    assert path is not None
    return load_checkpoint(path, CHECKPOINTS["vit_tiny"])


def official(loaded: LoadedCheckpoint, image: RgbImage, settings: AutomaticSettings) -> list[Any]:
    """What ``SamAutomaticMaskGenerator`` finds, in float32."""
    from segment_anything import SamAutomaticMaskGenerator

    values = settings.to_json()
    generator = SamAutomaticMaskGenerator(loaded.sam, output_mode="coco_rle", **values)
    records: list[Any] = generator.generate(image)
    return records


def share(agreements: list[Agreement]) -> float:
    """Matched masks of all that either side found more of."""
    most = sum(max(each.reference, each.found) for each in agreements)
    return sum(each.matched for each in agreements) / max(most, 1)


def main() -> None:
    """Compare; print a line an image; fail where too few agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", action="append", choices=("vit_tiny", "vit_b", "vit_l"))
    parser.add_argument("--precision", action="append", choices=PRECISIONS[1:])
    parser.add_argument("--points-per-side", type=int, default=16)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    result: dict[str, Any] = {**about(), "points_per_side": arguments.points_per_side, "runs": {}}
    failed = False
    for model in arguments.model or ["vit_tiny", "vit_b"]:
        loaded = network(model)
        settings = dataclasses.replace(loaded.automatic, points_per_side=arguments.points_per_side)
        precisions: list[Precision] = arguments.precision or ["fp32", "bf16"]
        engines = {
            name: Engine(network(model), device=arguments.device, precision=name)
            for name in precisions
        }
        agreements: dict[str, list[Agreement]] = {name: [] for name in precisions}
        for image_name, width, height in IMAGES:
            image = picture(image_name, width, height)
            started = time.monotonic()
            expected = official(loaded, image, settings)
            print(f"{model} {image_name} {width}x{height}: {len(expected)} masks, official "
                  f"{time.monotonic() - started:.1f} s", flush=True)  # fmt: skip
            for name, engine in engines.items():
                started = time.monotonic()
                records = engine.generate(image, settings)
                agreement = compare(records, expected, LEAST[name][0])
                agreements[name].append(agreement)
                print(f"  {name}: {agreement.found} found, {agreement.matched} matched, lowest IoU "
                      f"{agreement.lowest_iou:.4f}, scores within {agreement.score_difference:.1e} "
                      f"({time.monotonic() - started:.1f} s)", flush=True)  # fmt: skip
        for precision, of_precision in agreements.items():
            matched = share(of_precision)
            failed |= matched < LEAST[precision][1]
            result["runs"][f"{model} {precision}"] = {
                "share": round(matched, 4),
                "images": {
                    f"{image} {w}x{h}": each.to_json()
                    for (image, w, h), each in zip(IMAGES, of_precision, strict=True)
                },
            }
            print(f"{model} {precision}: {matched:.1%} of masks match at IoU {LEAST[precision][0]}")
    write("parity", result)
    if failed:
        sys.exit("error: too few masks match, see above")


if __name__ == "__main__":
    main()
