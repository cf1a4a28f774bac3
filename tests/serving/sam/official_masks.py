"""What the official generator finds, case by case, kept in tests/data/official_masks.

    python -m tests.serving.sam.official_masks      # computes all of them anew, two minutes

It takes many times as long as ours, so the tests read its masks from these files;
``pytest -m slow`` computes them again and compares. A file names the image and settings that it
is for; ``read`` refuses it for any other.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.checkpoints import LoadedCheckpoint
from serving.sam.images import RgbImage
from tests.agreement import Record
from tests.benchmarks.parity import IMAGES, network, picture
from tests.conftest import draw_scene

FOLDER = Path(__file__).parents[2] / "data" / "official_masks"
REMAKE = "python -m tests.serving.sam.official_masks"
LOOSE: dict[str, Any] = {"pred_iou_thresh": 0.3, "stability_score_thresh": 0.5}
EVERYTHING: dict[str, Any] = {
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "box_nms_thresh": 1.0,
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "own-defaults": {},
    "loose": {"points_per_side": 8, **LOOSE},
    "batches": {"points_per_side": 8, "points_per_batch": 7, **LOOSE},
    "stability-offset": {"points_per_side": 8, **LOOSE, "stability_score_offset": 2.0},
    "nms": {"points_per_side": 8, **LOOSE, "box_nms_thresh": 0.3},
    "crops": {"points_per_side": 6, **LOOSE, "crop_n_layers": 1, "crop_overlap_ratio": 0.2},
    "crop-grid": {
        "points_per_side": 8,
        **LOOSE,
        "crop_n_layers": 1,
        "crop_n_points_downscale_factor": 2,
        "crop_nms_thresh": 0.5,
    },
    "own-points": {"points_per_side": None, "point_grids": (((0.25, 0.4), (0.7, 0.3)),), **LOOSE},
    "small-regions": {"points_per_side": 8, **LOOSE, "min_mask_region_area": 60},
    "nothing-passes": {"points_per_side": 4, "pred_iou_thresh": 1.0},
    "everything-passes": {"points_per_side": 4, **EVERYTHING},
}


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One image, one network, one set of parameters.

    Attributes:
        name: of its file.
        model: ``vit_tiny`` for the embedded checkpoint, ``vit_b`` for the widened one.
        draw: makes the image.
        parameters: what differs from the checkpoint's own settings.
    """

    name: str
    model: str
    draw: Callable[[], RgbImage]
    parameters: dict[str, Any]

    def settings(self, checkpoint: LoadedCheckpoint) -> AutomaticSettings:
        """The settings of the generator, ours and the official one's."""
        return dataclasses.replace(checkpoint.automatic, **self.parameters)


def _pictures() -> list[Case]:
    small = [image for image in IMAGES if image[1] * image[2] <= 500_000]
    return [
        Case(
            f"picture-{name}-{width}x{height}",
            "vit_tiny",
            functools.partial(picture, name, width, height),
            {"points_per_side": 12},
        )
        for name, width, height in small
    ]


PICTURES = _pictures()
SCENES = [
    Case(f"scene-{name}", "vit_tiny", draw_scene, parameters)
    for name, parameters in PARAMETERS.items()
]
WIDENED = Case(
    "widened-vit_b", "vit_b", functools.partial(picture, "coins", 600, 400), {"points_per_side": 5}
)
CASES = [*PICTURES, *SCENES, WIDENED]


def compute(case: Case, checkpoint: LoadedCheckpoint) -> list[Record]:
    """What ``SamAutomaticMaskGenerator`` finds now, in float32, its masks as COCO RLE."""
    from segment_anything import SamAutomaticMaskGenerator

    values = case.settings(checkpoint).to_json()
    if values["point_grids"]:
        values["point_grids"] = [np.array(grid) for grid in values["point_grids"]]
    generator = SamAutomaticMaskGenerator(checkpoint.sam, output_mode="coco_rle", **values)
    records: list[Record] = generator.generate(case.draw())
    return records


def read(case: Case, checkpoint: LoadedCheckpoint) -> list[Record]:
    """Return the official masks of a case from its file.

    Raises:
        ValueError: the file is for another image, network or settings.
    """
    content = json.loads((FOLDER / f"{case.name}.json").read_text("utf-8"))
    if content["made_for"] != _made_for(case, checkpoint):
        raise ValueError(f"{case.name}.json was made for other settings; {REMAKE}")
    records: list[Record] = content["records"]
    return records


def assert_official(
    case: Case,
    checkpoint: LoadedCheckpoint,
    check: Callable[[list[Record]], None],
) -> None:
    """Let ``check`` compare ours with the masks in the file, or else with those of this machine.

    A processor that rounds differently moves a mask across a threshold, on both sides alike; only
    what differs from the official generator on the same machine is a fault.
    """
    records = read(case, checkpoint)
    try:
        check(records)
    except AssertionError:
        check(compute(case, checkpoint))


def _made_for(case: Case, checkpoint: LoadedCheckpoint) -> dict[str, Any]:
    image = case.draw()
    content = {
        "image": hashlib.sha256(image.tobytes()).hexdigest()[:16],
        "size_wh": [image.shape[1], image.shape[0]],
        "checkpoint": checkpoint.sha256,
        "settings": case.settings(checkpoint).to_json(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(content))
    return plain


def main() -> None:
    """Write the file of every case."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for model in ("vit_tiny", "vit_b"):
        checkpoint = network(model)
        for case in [case for case in CASES if case.model == model]:
            records = compute(case, checkpoint)
            made_for = json.dumps(_made_for(case, checkpoint))
            lines = ",\n".join(json.dumps(record) for record in records)
            text = f'{{"made_for": {made_for},\n"records": [\n{lines}\n]}}\n'
            (FOLDER / f"{case.name}.json").write_text(text, "utf-8")
            print(f"{case.name}: {len(records)} masks", flush=True)


if __name__ == "__main__":
    main()
