"""A shard's images: the window of their samples, and where on Earth they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from pipeline.run.input_images import find_files
from pipeline.run.manifest import PlannedImage
from pipeline.run.parameters import RunParameters
from pipeline.shard.image_loading import load_planned_image
from pipeline.steps.plan_shards import plan_images


def planned(path: Path) -> PlannedImage:
    return PlannedImage(
        name=path.name, folder=str(path.parent), file=path.name, digest="", prompts=[],
        fingerprint="",
    )  # fmt: skip


def test_image_of_12_bits_fails_with_the_way_out_or_has_its_window(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tags = ImageFileDirectory_v2()
    tags[33550], tags[33922] = (2.0, 2.0, 0.0), (0.0, 0.0, 0.0, 100.0, 200.0, 0.0)
    tags.tagtype |= {33550: 12, 33922: 12}
    Image.fromarray(np.full((4, 4), 4095, np.uint16)).save(path, tiffinfo=tags)
    dark = load_planned_image(planned(path))
    assert dark.pixels is None and "--window 0-4095" in dark.reason
    shown = load_planned_image(planned(path), window="0-4095")
    assert shown.pixels is not None and (shown.pixels == 255).all()
    assert shown.georeference == {"transform": [2.0, 0.0, 100.0, 0.0, -2.0, 200.0], "crs": ""}


def test_another_window_plans_the_image_anew(image_folder: Path, tmp_path: Path) -> None:
    """Without a window the masks of earlier versions stay valid."""
    runs = [
        RunParameters(inputs=(str(image_folder),), output=str(tmp_path / "out"), window=window)
        for window in ("", "auto", "0-4095")
    ]
    prints = [plan_images(find_files(run), run)[0].fingerprint for run in runs]
    assert len(set(prints)) == 3
