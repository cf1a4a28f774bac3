"""Outputs as a run leaves them, with masks that are hard to export, and without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scripts.export.exporting import Exported, export
from serving.sam.masks import encode_mask, mask_area, mask_box_xywh
from serving.storage import open_folder

Mask = NDArray[np.bool_]


def hard_masks(width: int = 160, height: int = 120) -> dict[str, Mask]:
    """Masks with a hole, of two pieces, of one pixel, at the edge, with a saddle, of everything."""
    y, x = np.mgrid[:height, :width]
    disc = (x - 60.0) ** 2 + (y - 50.0) ** 2 < 40**2
    ring = disc & ~((x - 66.0) ** 2 + (y - 46.0) ** 2 < 15**2)
    masks = {
        "ring": ring,
        "two": ((x - 30) ** 2 + (y - 30) ** 2 < 400) | ((x - 110) ** 2 + (y - 80) ** 2 < 900),
        "edge": (x > 120) & (y > x - 60),
        "everything": np.ones((height, width), bool),
        "saddle": ((x // 40 + y // 40) % 2 == 0) & (x < 80) & (y < 80),
    }
    dot = np.zeros((height, width), bool)
    dot[7, 9] = True
    return {**masks, "dot": dot}


def record(mask: Mask, **values: Any) -> dict[str, Any]:
    rle = encode_mask(mask)
    return {
        "segmentation": rle,
        "area": mask_area(rle),
        "bbox": mask_box_xywh(mask),
        "predicted_iou": 0.875,
        "point_coords": [[3.0, 4.0]],
        "stability_score": 0.9,
        "crop_box": [0.0, 0.0, float(mask.shape[1]), float(mask.shape[0])],
        **values,
    }


def write_image(output: Path, name: str, masks: list[dict[str, Any]], **values: Any) -> None:
    height, width = masks[0]["segmentation"]["size"] if masks else (120, 160)
    content = {
        "fingerprint": "0" * 32,
        "image": name,
        "source": f"gs://bucket/photos/{name}",
        "digest": "md5:0",
        "width": width,
        "height": height,
        "mode": "prompted",
        "settings": {},
        "checkpoint": {"name": "vit_tiny", "sha256": "0"},
        "precision": "fp32",
        "device": "cpu",
        "shard": "shard-0000",
        "seconds": {"segment": 0.1},
        "masks": masks,
        **values,
    }
    path = output / "masks" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, separators=(",", ":")), "utf-8")


def write_photo(path: Path, width: int = 160, height: int = 120) -> NDArray[np.uint8]:
    """Write a PNG of noise, which no mistake of a pixel leaves equal; return its pixels."""
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def hard_output(output: Path) -> dict[tuple[str, str], Mask]:
    """Write a run's output of two images; return its masks by image and category.

    Each mask has its own category, of which the run knows two with ids of their owner.
    """
    categories = [{"id": 9, "name": "ring", "supercategory": "shape"},
                  {"id": 4, "name": "Ärger & <Co>", "supercategory": ""}]  # fmt: skip
    output.mkdir(parents=True)
    (output / "categories.json").write_text(json.dumps({"categories": categories}))
    everything: dict[tuple[str, str], Mask] = {}
    for name, size in (("a.jpg", (160, 120)), ("more/b & c.png", (200, 130))):
        masks = {("Ärger & <Co>" if key == "edge" else key): mask
                 for key, mask in hard_masks(*size).items()}  # fmt: skip
        write_image(output, name, [record(mask, category=key) for key, mask in masks.items()])
        everything |= {(name, key): mask for key, mask in masks.items()}
    write_image(output, "none.png", [])
    return everything


class Bar:
    """Counts what an export shows."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float | None]] = []

    def update(self, done: float, total: float | None, note: str = "") -> None:
        self.seen.append((done, total))


def exported(
    output: Path | str, name: str, target: Path | str, reviewed: bool = False, prefix: str = ""
) -> Exported:
    """Export an output without a word."""
    return export(
        open_folder(str(output)),
        name,
        open_folder(str(target)),
        reviewed=reviewed,
        image_prefix=prefix,
        bar=Bar(),
    )
