"""Settings of automatic masks outside their range are refused by name."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.errors import ParameterError


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"points_per_side": 0}, "points_per_side"),
        ({"points_per_side": True}, "points_per_side"),
        ({"points_per_side": None}, "point_grids"),
        ({"points_per_batch": 0}, "points_per_batch"),
        ({"pred_iou_thresh": 1.1}, "pred_iou_thresh"),
        ({"pred_iou_thresh": float("nan")}, "pred_iou_thresh"),
        ({"stability_score_thresh": -0.1}, "stability_score_thresh"),
        ({"box_nms_thresh": "0.5"}, "box_nms_thresh"),
        ({"crop_n_layers": 9}, "crop_n_layers"),
        ({"min_mask_region_area": -1}, "min_mask_region_area"),
        ({"points_per_side": None, "point_grids": (((0.5, 1.5),),)}, "point_grids"),
        ({"points_per_side": None, "point_grids": ((),)}, "point_grids"),
        (
            {"points_per_side": None, "point_grids": (((0.5, 0.5),),), "crop_n_layers": 1},
            "point_grids",
        ),
        ({"points_per_side": None, "point_grids": (((0.5,),),)}, "point_grids"),
        ({"crop_n_layers": 1, "crop_n_points_downscale_factor": 64}, "crop layer 1 no points"),
        (
            {"points_per_side": 8, "crop_n_layers": 3, "crop_n_points_downscale_factor": 2.0},
            "crop_n_points_downscale_factor",
        ),
        (
            {"points_per_side": 7, "crop_n_layers": 3, "crop_n_points_downscale_factor": 2},
            "crop layer 3 no points",
        ),
    ],
)
def test_automatic_settings_outside_their_range_are_named(
    values: dict[str, Any], name: str
) -> None:
    with pytest.raises(ParameterError, match=name):
        AutomaticSettings(**values)


def test_automatic_settings_take_what_the_official_generator_takes() -> None:
    """Numbers of numpy, and grids as arrays."""
    grid: Any = [np.array([[0.5, 0.5], [0.25, 1.0]])]
    settings = AutomaticSettings(
        points_per_side=None,
        point_grids=grid,
        points_per_batch=np.int64(8),  # type: ignore[arg-type]
        pred_iou_thresh=np.float32(0.5),  # type: ignore[arg-type]
    )
    assert settings.point_grids == (((0.5, 0.5), (0.25, 1.0)),)
    values = json.loads(json.dumps(settings.to_json()))
    assert values["points_per_batch"] == 8 and values["pred_iou_thresh"] == 0.5
    AutomaticSettings(points_per_side=8, crop_n_layers=3, crop_n_points_downscale_factor=2)
