"""The estimate of how long work takes: the points of a grid, and running means."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from serving.sam.automatic_settings import AutomaticSettings
from serving.timing import WorkTimes, grid_points


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"points_per_side": 32}, (1, 1024)),
        ({"points_per_side": 8, "crop_n_layers": 1}, (5, 64 + 4 * 64)),
        (
            {"points_per_side": 8, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2},
            (21, 64 + 4 * 16 + 16 * 4),
        ),
        ({"points_per_side": None, "point_grids": (((0.5, 0.5), (0.1, 0.1)),)}, (1, 2)),
    ],
)
def test_points_of_a_grid(changes: dict[str, Any], expected: tuple[int, int]) -> None:
    assert grid_points(dataclasses.replace(AutomaticSettings(), **changes)) == expected


def test_the_official_generator_looks_at_as_many_points(engine: Any) -> None:
    from segment_anything import SamAutomaticMaskGenerator
    from segment_anything.utils.amg import generate_crop_boxes

    settings = {"points_per_side": 8, "crop_n_layers": 2, "crop_n_points_downscale_factor": 2}
    official = SamAutomaticMaskGenerator(engine.checkpoint.sam, **settings)
    boxes, layers = generate_crop_boxes((200, 300), 2, official.crop_overlap_ratio)
    points = sum(len(official.point_grids[layer]) for layer in layers)
    ours = grid_points(dataclasses.replace(AutomaticSettings(), **settings))  # type: ignore[arg-type]
    assert ours == (len(boxes), points)


def test_times_follow_what_is_measured() -> None:
    times = WorkTimes()
    times.observe("embedding", 1.0)
    times.observe("prompt", 1.0, 10)
    times.observe("point", 1.0, 100)
    assert times.prompted(3, cached=False) == pytest.approx(1.3)
    assert times.prompted(3, cached=True) == pytest.approx(0.3)
    grid = dataclasses.replace(AutomaticSettings(), points_per_side=10)
    assert times.automatic(grid) == pytest.approx(2.0)
    for _ in range(60):
        times.observe("embedding", 3.0)
    assert times.embedding == pytest.approx(3.0, abs=0.01)
    times.observe("embedding", 9.0, 0)  # no work, no measurement
    assert times.embedding == pytest.approx(3.0, abs=0.01)
