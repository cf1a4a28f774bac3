"""The images of a rehearsal: drawn here, with one file among them that is no image."""

from __future__ import annotations

from pathlib import Path

IMAGES = 6
# Points and boxes in pixels, for two of the images.
PROMPTS = {"scene-0.png": {"1": [[140, 120]]}, "scene-2.png": [{"box": [176, 34, 274, 122]}]}


def write_scenes(folder: Path) -> None:
    """Write ``IMAGES`` pictures of plain shapes and a broken one; all differ."""
    from PIL import Image, ImageDraw

    folder.mkdir(parents=True, exist_ok=True)
    for number in range(IMAGES):
        image = Image.new("RGB", (320, 240), (236, 232, 224))
        draw = ImageDraw.Draw(image)
        left = 20 + 8 * number
        draw.ellipse((60, 40, 220, 200), fill=(200, 40, 40))
        draw.rectangle((176 + left // 4, 34, 274 + left // 4, 122), fill=(30, 80, 190))
        draw.ellipse((left, 170, left + 60, 230), fill=(40, 140, 60))
        image.save(folder / f"scene-{number}.png")
    (folder / "broken.jpg").write_bytes(b"not an image")
