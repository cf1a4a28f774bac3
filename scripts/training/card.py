"""Draw the pictures of the embedded checkpoint's model card, beside it.

python -m scripts.training.card --cutouts package/assets
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pipeline.shard.pictures import draw_overlay, fit_inside
from scripts.checkout import ROOT
from scripts.training.evaluate import SCENE_SEED, load_engine, point_mask
from scripts.training.materials import load_materials
from scripts.training.prompts import interior_point
from scripts.training.scenes import scene
from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.masks import MaskRecord, encode_mask

FOLDER = ROOT / "serving" / "sam" / "assets"


def clicked_scenes(engine: Engine, cutouts: Path | None, count: int = 8) -> RgbImage:
    """Held-out scenes above, and below the mask that one click on each object gives."""
    materials = load_materials(cutouts, held_out=True)
    rng = np.random.default_rng(SCENE_SEED)
    columns = []
    for _ in range(count):
        drawn_scene = scene(rng, materials)
        embedding = engine.embed(drawn_scene.image)
        records, points = [], []
        for mask in drawn_scene.objects:
            point = interior_point(mask)
            answer = point_mask(engine, embedding, point)
            records.append(MaskRecord(segmentation=encode_mask(answer), area=int(answer.sum())))
            points.append(point)
        drawn = draw_overlay(drawn_scene.image, records)
        for point in points:
            cv2.circle(drawn, point, 3, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(drawn, point, 2, (0, 0, 0), -1, cv2.LINE_AA)
        columns.append(np.vstack([drawn_scene.image, drawn]))
    return np.hstack(columns)


def automatic(engine: Engine) -> RgbImage:
    """Automatic masks of photographs that scikit-image ships, side by side."""
    from skimage import data

    pictures = []
    for name in ("coins", "coffee", "astronaut", "rocket"):
        image = getattr(data, name)()
        if image.ndim == 2:
            image = np.ascontiguousarray(np.repeat(image[:, :, None], 3, axis=2))
        drawn = draw_overlay(image, engine.generate(image))
        height = 320
        width = round(drawn.shape[1] * height / drawn.shape[0])
        pictures.append(np.asarray(cv2.resize(drawn, (width, height), None, 0, 0, 3)))
    return np.hstack(pictures)


def main() -> None:
    """Write ``clicks.jpg`` and ``automatic.jpg``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weights", type=Path, help="default: the embedded checkpoint")
    parser.add_argument("--cutouts", type=Path, help="folder of RGBA .webp cut-outs")
    parser.add_argument("--to", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    engine = load_engine(arguments.weights)
    pictures = {"clicks": clicked_scenes(engine, arguments.cutouts), "automatic": automatic(engine)}
    for name, picture in pictures.items():
        small = fit_inside(picture, 1600)
        Image.fromarray(small).save(arguments.to / f"{name}.jpg", quality=82)


if __name__ == "__main__":
    main()
