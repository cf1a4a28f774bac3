"""The ``parameters`` of a request: the form of the reply, and settings of automatic masks."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from serving.errors import RequestError
from serving.object_access import check_allowed
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.errors import ParameterError
from serving.settings import ServingSettings

MaskFormat = Literal["rle", "polygon", "png", "array"]
MASK_FORMATS: tuple[MaskFormat, ...] = ("rle", "polygon", "png", "array")
ON_ERROR = ("report", "fail", "each")
MAX_GRID_POINTS = 256 * 256
_AUTOMATIC = {field.name for field in dataclasses.fields(AutomaticSettings)}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What applies to all instances of a request.

    Attributes:
        mask_format: ``rle`` is COCO's, which ``pycocotools`` decodes; ``polygon`` COCO's outlines;
            ``png`` base64 of a 1-bit PNG; ``array`` nested lists.
        max_masks: the largest number of automatic masks in the reply; the best stay.
        return_logits: whether prompted masks come with their low-resolution logits.
        on_error: ``report`` puts an error in place of a bad instance's prediction; ``fail``
            refuses the whole request. Both refuse a request without any good instance; ``each``
            does not, and is the default in a batch prediction, which would send it again.
        output_uri: ``gs://`` folder into which the server writes predictions; the reply names them.
        automatic: settings of ``SamAutomaticMaskGenerator`` that differ from the checkpoint's.
    """

    mask_format: MaskFormat = "rle"
    max_masks: int = 100
    return_logits: bool = True
    on_error: Literal["report", "fail", "each"] = "report"
    output_uri: str = ""
    automatic: dict[str, Any] = dataclasses.field(default_factory=dict)

    def automatic_settings(self, defaults: AutomaticSettings) -> AutomaticSettings:
        """Return the checkpoint's settings, overridden by those of the request.

        Raises:
            RequestError: a value outside its range.
        """
        changes = dict(self.automatic)
        if changes.get("point_grids") is not None:
            changes.setdefault("points_per_side", None)
        try:
            return dataclasses.replace(defaults, **changes)
        except ParameterError as error:
            raise RequestError(f"parameters.{error}") from error


def _choice(value: Any, allowed: tuple[str, ...], field: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        shown = repr(value)[:60]
        raise RequestError(f"{field}: expected one of {', '.join(allowed)}, got {shown}")
    return value


def _flag(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise RequestError(f"{field}: expected true or false, got {repr(value)[:60]}")
    return value


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _grids(value: Any, field: str) -> tuple[tuple[tuple[float, float], ...], ...] | None:
    if value is None:
        return None
    expected = f"{field}: expected lists of points [[[x, y], ...], ...] with x and y from 0 to 1"
    if not isinstance(value, list) or not all(isinstance(grid, list) for grid in value):
        raise RequestError(expected)
    if sum(len(grid) for grid in value) > MAX_GRID_POINTS:
        raise RequestError(f"{field}: at most {MAX_GRID_POINTS} points")
    for grid in value:
        for point in grid:
            numbers = isinstance(point, list) and all(
                isinstance(v, int | float) and not isinstance(v, bool) for v in point
            )
            if not numbers or len(point) != 2:
                raise RequestError(expected)
    return tuple(tuple((float(x), float(y)) for x, y in grid) for grid in value)


def parse_parameters(value: Any, limits: ServingSettings) -> Parameters:
    """Return the request's parameters.

    Args:
        value: of the key ``parameters``; ``None`` where the request has no such key.
        limits: of this server.

    Raises:
        RequestError: an unknown name or a value of the wrong kind or range.
    """
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise RequestError(f"parameters: expected an object, got {repr(value)[:60]}")
    own = {field.name for field in dataclasses.fields(Parameters)} - {"automatic"}
    for name in value:
        if name not in own | _AUTOMATIC:
            raise RequestError(
                f"parameters: unknown name {name[:60]!r}; "
                f"known are {', '.join(sorted(own | _AUTOMATIC))}"
            )
    # Vertex passes numbers on through protobuf, where all are floats: 8 may come as 8.0.
    value = {name: _whole(item) for name, item in value.items()}
    automatic = {name: item for name, item in value.items() if name in _AUTOMATIC}
    if "point_grids" in automatic:
        automatic["point_grids"] = _grids(automatic["point_grids"], "parameters.point_grids")
    values: dict[str, Any] = {"automatic": automatic}
    values["on_error"] = "each" if limits.in_batch else "report"
    if "mask_format" in value:
        values["mask_format"] = _choice(
            value["mask_format"], MASK_FORMATS, "parameters.mask_format"
        )
    if "on_error" in value:
        values["on_error"] = _choice(value["on_error"], ON_ERROR, "parameters.on_error")
    if "return_logits" in value:
        values["return_logits"] = _flag(value["return_logits"], "parameters.return_logits")
    if "max_masks" in value:
        number = value["max_masks"]
        if isinstance(number, bool) or not isinstance(number, int) or not 1 <= number <= 10_000:
            raise RequestError(
                "parameters.max_masks: expected a whole number from 1 to 10000, "
                f"got {repr(number)[:60]}"
            )
        values["max_masks"] = number
    if value.get("output_uri"):
        field = "parameters.output_uri"
        if not isinstance(value["output_uri"], str):
            raise RequestError(f"{field}: expected gs://bucket/folder")
        uri = value["output_uri"].rstrip("/") + "/"
        check_allowed(uri, limits.write_prefixes, field, "SERVING_WRITE_PREFIXES")
        values["output_uri"] = uri
    parameters = Parameters(**values)
    # This call only validates: a value out of range ends the request before any work.
    parameters.automatic_settings(AutomaticSettings())
    return parameters
