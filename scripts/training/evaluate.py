"""Measure a checkpoint on pictures it never saw, with the official predictor and generator.

    python -m scripts.training.evaluate --cutouts package/assets --photos photos

Protocols:

- *scenes*: synthetic scenes of held-out cut-outs and photographs and of a seed of their own; every
  object of at least 100 visible pixels counts. One point: the pixel farthest from the mask's edge,
  the best of three masks by predicted IoU. Box: the mask's tight box, one mask. Mean IoU.
- *coins*: ``skimage.data.coins``; the reference is the region-based segmentation of scikit-image's
  own tutorial (Sobel elevation map, two markers, watershed, holes filled), its 24 coins. Automatic
  masks use the checkpoint's own thresholds; a coin counts as found if a mask has IoU >= 0.75 with
  it, a mask as false if it has IoU < 0.5 with every coin.
- *apple*, *pencil*: one point at (300, 200), best of three by predicted IoU; the reference is the
  object's colour against its light background, largest piece, holes filled.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scripts.training.materials import load_materials
from scripts.training.prompts import interior_point, tight_box
from scripts.training.scenes import scene
from serving.sam.checkpoints import load_checkpoint
from serving.sam.embedding import Embedding
from serving.sam.engine import Engine
from serving.sam.images import decode_image
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.sam.masks import decode_mask
from serving.sam.prompts import Prompt

Mask = NDArray[np.bool_]
SCENE_SEED = 20_261_122
POINT_XY = (300.0, 200.0)


def iou(first: Mask, second: Mask) -> float:
    """Intersection over union of two masks, 0-1."""
    return float((first & second).sum() / max((first | second).sum(), 1))


def point_mask(engine: Engine, embedding: Embedding, point: tuple[float, float]) -> Mask:
    """The best of three masks by predicted IoU, for one click."""
    prediction = engine.predict(
        embedding, Prompt(points=(point,), labels=(1,)), multimask_output=True
    )
    return np.asarray(prediction.masks[prediction.scores.argmax()])


def box_mask(engine: Engine, embedding: Embedding, box: NDArray[np.float32]) -> Mask:
    """The one mask of a box."""
    x0, y0, x1, y1 = (float(value) for value in box)
    prompt = Prompt(box_xyxy=(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)))
    return np.asarray(engine.predict(embedding, prompt, multimask_output=False).masks[0])


def prompted(engine: Engine, embedding: Embedding, masks: list[Mask]) -> tuple[float, float]:
    """Mean IoU from one interior point and from the tight box of each mask."""
    points = [iou(point_mask(engine, embedding, interior_point(m)), m) for m in masks]
    boxes = [iou(box_mask(engine, embedding, tight_box(m)), m) for m in masks]
    return float(np.mean(points)), float(np.mean(boxes))


def evaluate_scenes(engine: Engine, cutouts: Path | None, count: int) -> dict[str, float]:
    """Held-out synthetic scenes."""
    materials = load_materials(cutouts, held_out=True)
    rng = np.random.default_rng(SCENE_SEED)
    results = []
    for _ in range(count):
        drawn_scene = scene(rng, materials)
        masks = [mask for mask in drawn_scene.objects if mask.sum() >= 100]
        if masks:
            embedding = engine.embed(drawn_scene.image)
            results += [prompted(engine, embedding, [mask]) for mask in masks]
    point, box = np.mean(results, axis=0)
    return {"objects": len(results), "point": float(point), "box": float(box)}


def coin_masks(picture: NDArray[np.uint8]) -> list[Mask]:
    """The 24 coins, by the region-based segmentation of scikit-image's tutorial."""
    from skimage.filters import sobel
    from skimage.segmentation import watershed

    markers = np.zeros_like(picture, dtype=np.int32)
    markers[picture < 30] = 1
    markers[picture > 150] = 2
    filled = ndimage.binary_fill_holes(watershed(sobel(picture), markers) == 2)
    labels, count = ndimage.label(filled)
    masks = [labels == number for number in range(1, count + 1)]
    return [np.asarray(mask) for mask in masks if mask.sum() > 200]


def evaluate_coins(engine: Engine) -> dict[str, float]:
    """scikit-image's coins: prompted and automatic."""
    from skimage import data

    picture = data.coins()
    masks = coin_masks(picture)
    image = np.ascontiguousarray(np.repeat(picture[:, :, None], 3, axis=2))
    point, box = prompted(engine, engine.embed(image), masks)
    automatic_masks = [decode_mask(record["segmentation"]) for record in engine.generate(image)]
    table = np.array([[iou(mask, coin) for coin in masks] for mask in automatic_masks])
    table = table.reshape(len(automatic_masks), len(masks))
    return {
        "coins": len(masks),
        "point": point,
        "box": box,
        "automatic_masks": len(automatic_masks),
        "automatic_found": int((table.max(axis=0, initial=0) >= 0.75).sum()),
        "automatic_false": int((table.max(axis=1, initial=0) < 0.5).sum()),
    }


def coloured_object(image: NDArray[np.uint8]) -> Mask:
    """The coloured or dark thing on a light background: largest piece, holes filled."""
    values = image.astype(np.int32)
    vivid = (values.max(axis=2) - values.min(axis=2) > 60) | (values.max(axis=2) < 70)
    labels, _ = ndimage.label(ndimage.binary_opening(vivid, iterations=1))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    whole = ndimage.binary_fill_holes(ndimage.binary_closing(labels == sizes.argmax(), None, 3))
    return np.asarray(whole)


def evaluate_photo(engine: Engine, path: Path) -> float:
    """One click on the object of a photograph with a light background."""
    image = decode_image(path.read_bytes(), path.name)
    return iou(point_mask(engine, engine.embed(image), POINT_XY), coloured_object(image))


def load_engine(weights: Path | None) -> Engine:
    """The embedded checkpoint, an exported file, or the averaged weights of a training state."""
    import torch

    entry = CHECKPOINTS["vit_tiny"]
    if weights is None:
        if entry.embedded_path is None:
            raise SystemExit(f"error: {entry.name} does not lie in this package")
        return Engine.load(entry.embedded_path, entry, device="cpu")
    state: dict[str, Any] = torch.load(weights, weights_only=True)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "weights.pth")
        torch.save(state.get("average", state), plain)
        loaded = load_checkpoint(plain)
    return Engine(dataclasses.replace(loaded, automatic=entry.automatic), device="cpu")


def main() -> None:
    """Print every figure as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, help="default: the embedded checkpoint")
    parser.add_argument("--cutouts", type=Path, help="folder of RGBA .webp cut-outs")
    parser.add_argument("--photos", type=Path, help="folder with simple_apple and simple_pencil")
    parser.add_argument("--scenes", type=int, default=100)
    arguments = parser.parse_args()
    engine = load_engine(arguments.weights)
    result: dict[str, Any] = {
        "scenes": evaluate_scenes(engine, arguments.cutouts, arguments.scenes),
        "coins": evaluate_coins(engine),
    }
    for name in ("simple_apple", "simple_pencil"):
        if arguments.photos:
            result[name] = evaluate_photo(engine, arguments.photos / f"{name}.jpeg")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
