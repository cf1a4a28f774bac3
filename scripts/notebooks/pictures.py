"""Images and masks as pictures of the notebook: small JPEGs, so that it can be kept with them."""

from __future__ import annotations

import glob
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from pipeline.shard.pictures import draw_overlay, fit_inside
from serving.sam import Engine, Prompt, load_image
from serving.sam.images import RgbImage
from serving.sam.masks import MaskRecord, encode_mask
from serving.sam.plain_text import count

SIDE = 640
GAP, CAPTION = 12, 22
_PAPER, _INK = (255, 255, 255), (60, 60, 60)


def show_image(image: RgbImage) -> None:
    """Display an image, (H, W, 3) uint8 RGB."""
    _display(fit_inside(image, SIDE))


def show_masks(image: RgbImage, records: Sequence[MaskRecord]) -> None:
    """Display all masks on their image, with the prompt of each that has one.

    Args:
        image: (H, W, 3) uint8 RGB.
        records: what ``Engine.segment`` or ``Engine.generate`` returned for it.
    """
    _display(fit_inside(draw_overlay(image, records), SIDE))


def show_candidates(engine: Engine, image: RgbImage, prompt: Prompt) -> None:
    """Display the three masks that the network proposes for one prompt, side by side.

    Args:
        engine: computes them.
        image: (H, W, 3) uint8 RGB.
        prompt: points and box in its pixels.
    """
    prediction = engine.predict(engine.embed(image), prompt, multimask_output=True)
    panels = []
    for number, (mask, score) in enumerate(zip(prediction.masks, prediction.scores, strict=True)):
        record: MaskRecord = {
            "segmentation": encode_mask(mask),
            "area": int(mask.sum()),
            "prompt": prompt.to_json(),
        }
        overlay = fit_inside(draw_overlay(image, [record]), SIDE // 2)
        panels.append((overlay, f"{number + 1}: predicted IoU {score:.2f}"))
    _display(_beside_each_other(panels))


def show_gallery(output: str | Path, most: int = 6) -> None:
    """Display the overlays of a run's first images, three in a row, or say that it drew none.

    Args:
        output: local folder of a run or of a batch prediction.
        most: how many images.
    """
    folder = Path(output)
    rows = (
        json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()
    )
    panels = []
    for row in [row for row in rows if row["status"] == "done"][:most]:
        overlay = next((folder / "overlays").glob(f"{glob.escape(row['image'])}.*"), None)
        if overlay is not None:
            picture = fit_inside(load_image(str(overlay)), SIDE // 2)
            panels.append((picture, f"{row['image'][:32]}: {count(row['masks'], 'mask')}"))
    if not panels:
        print(f"{folder}: no overlays here; were they left out with --pictures none?")
    for first in range(0, len(panels), 3):
        _display(_beside_each_other(panels[first : first + 3]))


def _beside_each_other(panels: Sequence[tuple[RgbImage, str]]) -> RgbImage:
    width = sum(image.shape[1] for image, _ in panels) + GAP * (len(panels) - 1)
    height = max(image.shape[0] for image, _ in panels) + CAPTION
    canvas = Image.new("RGB", (width, height), _PAPER)
    draw, left = ImageDraw.Draw(canvas), 0
    for image, caption in panels:
        canvas.paste(Image.fromarray(image), (left, 0))
        draw.text((left + 2, image.shape[0] + 5), caption, fill=_INK)
        left += image.shape[1] + GAP
    return np.asarray(canvas)


def _display(image: RgbImage) -> None:
    from IPython.display import Image as Picture
    from IPython.display import display

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=85)
    display(Picture(data=buffer.getvalue(), format="jpeg"))  # type: ignore[no-untyped-call]
