"""Settings of automatic masks: everything ``SamAutomaticMaskGenerator`` takes, validated."""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterable
from typing import Any

from serving.sam.errors import ParameterError

Grid = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticSettings:
    """Settings for masks without prompts; names and defaults are the official generator's.

    Attributes:
        points_per_side: points on each side of the grid over the image; ``None`` with
            ``point_grids``.
        points_per_batch: the most points that the mask decoder takes together; a CPU takes fewer,
            a GPU as many as fit. The masks do not depend on it.
        pred_iou_thresh: drops masks that the model itself rates lower, 0-1.
        stability_score_thresh: drops masks that change more with the cut-off, 0-1.
        stability_score_offset: how far that test moves the cut-off, in logits.
        box_nms_thresh: of two masks whose boxes overlap more (IoU), the better one stays, 0-1.
        crop_n_layers: also run on 2**i x 2**i crops of the image for each layer i.
        crop_nms_thresh: like ``box_nms_thresh``, between crops, 0-1.
        crop_overlap_ratio: how far crops overlap, as a share of the image's shorter side.
        crop_n_points_downscale_factor: layer i uses points_per_side divided by this to the i.
        point_grids: for each crop layer the points themselves, (x, y) in 0-1 of the crop.
        min_mask_region_area: removes holes and islands of fewer pixels.

    Raises:
        ParameterError: a value outside its range.

    Source: ``segment_anything.SamAutomaticMaskGenerator`` 1.0.
    """

    points_per_side: int | None = 32
    points_per_batch: int = 64
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1.0
    box_nms_thresh: float = 0.7
    crop_n_layers: int = 0
    crop_nms_thresh: float = 0.7
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    point_grids: tuple[Grid, ...] | None = None
    min_mask_region_area: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("points_per_side", 1, 256),
            ("points_per_batch", 1, 65536),
            ("crop_n_layers", 0, 4),
            ("crop_n_points_downscale_factor", 1, 256),
            ("min_mask_region_area", 0, 2**31),
        ):
            value = getattr(self, name)
            if name == "points_per_side" and value is None:
                continue
            whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
            if not whole or not low <= value <= high:
                raise ParameterError(
                    f"{name}: expected a whole number from {low} to {high}, got {value!r}"
                )
            object.__setattr__(self, name, int(value))
        for name, upper in (
            ("pred_iou_thresh", 1.0),
            ("stability_score_thresh", 1.0),
            ("stability_score_offset", 100.0),
            ("box_nms_thresh", 1.0),
            ("crop_nms_thresh", 1.0),
            ("crop_overlap_ratio", 1.0),
        ):
            value = getattr(self, name)
            number = isinstance(value, numbers.Real) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not 0 <= value <= upper:
                raise ParameterError(
                    f"{name}: expected a number from 0 to {upper:g}, got {value!r}"
                )
            object.__setattr__(self, name, float(value))
        self._check_grids()

    def _check_grids(self) -> None:
        if (self.points_per_side is None) == (self.point_grids is None):
            raise ParameterError("give exactly one of points_per_side and point_grids")
        if self.point_grids is None:
            self._check_crop_points()
            return
        grids = tuple(_grid(grid, number) for number, grid in enumerate(self.point_grids))
        if len(grids) <= self.crop_n_layers:
            raise ParameterError(
                f"point_grids: expected {self.crop_n_layers + 1} grids, one for the image and one "
                f"for each crop layer, got {len(grids)}"
            )
        object.__setattr__(self, "point_grids", grids)

    def _check_crop_points(self) -> None:
        """The official generator divides by zero where a crop layer is left without points."""
        side = self.points_per_side or 0
        for layer in range(1, self.crop_n_layers + 1):
            factor = self.crop_n_points_downscale_factor**layer
            if side < factor:
                raise ParameterError(
                    f"crop_n_points_downscale_factor: {self.crop_n_points_downscale_factor} leaves "
                    f"crop layer {layer} no points: {side} a side divided by {factor}; expected at "
                    f"least one, so take a smaller factor, fewer crop_n_layers or more "
                    "points_per_side"
                )

    def to_json(self) -> dict[str, Any]:
        """Every setting by name, as plain JSON."""
        return dataclasses.asdict(self)


def _grid(points: Iterable[Any], number: int) -> Grid:
    """The points of a crop layer as plain floats; lists and arrays, as the official code takes."""
    try:
        grid = tuple((float(x), float(y)) for x, y in points)
    except (TypeError, ValueError):
        grid = ()
    if not grid or not all(0 <= value <= 1 for point in grid for value in point):
        raise ParameterError(
            f"point_grids[{number}]: expected points (x, y) from 0 to 1, at least one"
        )
    return grid
