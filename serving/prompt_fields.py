"""The prompts of an instance: its points, labels and boxes, and the logits of an earlier reply.

Points in one list belong to one object. Several objects are a list of boxes, a list of lists of
points, or both with equal length.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.errors import RequestError
from serving.sam.errors import PromptError
from serving.sam.prompts import Prompt, parse_box, parse_labels, parse_point, parse_points
from serving.settings import ServingSettings

_PROMPT_KEYS = ("input_point", "input_label", "input_box")
MAX_LOGITS_SIDE = 1024


def shown(value: Any) -> str:
    """The start of a value, as messages quote it."""
    return repr(value)[:60] if not isinstance(value, str) else repr(value[:60])


def decode_base64(value: Any, field: str) -> bytes:
    """Return the bytes of base64 text; RequestError names the field."""
    if not isinstance(value, str):
        raise RequestError(f"{field}: expected the image file as base64 text, got {shown(value)}")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(
            f"{field}: not base64 ({error}); send base64 of the file's bytes, without line breaks "
            "and without a data: prefix"
        ) from error


def _depth(value: Any) -> int:
    depth = 0
    while isinstance(value, list) and depth < 4:
        depth += 1
        value = value[0] if value else None
    return depth


def parse_prompts(
    value: dict[str, Any], field: str, limits: ServingSettings
) -> tuple[tuple[Prompt, ...], bool]:
    """Return the prompts of an instance, one per object, and whether the client listed objects.

    Raises:
        RequestError: points, labels and boxes do not go together, or are too many.
        PromptError: a point, a label or a box is malformed.
    """
    points, labels, boxes = (value.get(key) for key in _PROMPT_KEYS)
    if points is None and labels is not None:
        raise RequestError(f"{field}.input_label: there is no input_point that it belongs to")
    if points is None and boxes is None:
        return (), False
    many_points, many_boxes = _depth(points) >= 3, _depth(boxes) >= 2
    several = many_points or many_boxes
    groups: list[Any] = points if many_points and points is not None else [points]
    label_groups: Any = labels if many_points and labels is not None else [labels] * len(groups)
    box_list: list[Any] = boxes if many_boxes and boxes is not None else [boxes]
    if many_points and (not isinstance(label_groups, list) or len(label_groups) != len(groups)):
        raise RequestError(f"{field}.input_label: expected a list of labels for each object")
    count = max(len(groups), len(box_list))
    by_point, by_box = points is not None, boxes is not None
    if (by_point and len(groups) != count) or (by_box and len(box_list) != count):
        raise RequestError(
            f"{field}: {len(groups)} object(s) by input_point but {len(box_list)} by input_box; "
            "for several objects give as many boxes as lists of points, [[[x, y], ...], ...]"
        )
    if count > limits.max_objects:
        raise RequestError(
            f"{field}: {count} objects, more than the limit of {limits.max_objects}; "
            "send several requests: the image's embedding is kept",
            413,
        )
    prompts: list[Prompt] = []
    for number in range(count):
        suffix = f"[{number}]" if several else ""
        group = groups[number] if by_point else None
        box = box_list[number] if by_box else None
        prompts.append(
            _prompt(
                group,
                label_groups[number] if group is not None else None,
                box,
                field,
                suffix if many_points else "",
                suffix if many_boxes else "",
            )
        )
    return tuple(prompts), several


def _prompt(
    points: Any, labels: Any, box: Any, field: str, points_suffix: str, box_suffix: str
) -> Prompt:
    point_field = f"{field}.input_point{points_suffix}"
    parsed: tuple[tuple[float, float], ...] = ()
    parsed_labels: tuple[int, ...] = ()
    if points is not None:
        if _depth(points) <= 1:
            parsed = (parse_point(points, point_field),)
        else:
            parsed = parse_points(points, point_field)
        parsed_labels = (1,) * len(parsed)
        if labels is not None:
            label_field = f"{field}.input_label{points_suffix}"
            # A float where protobuf has passed the request on: its numbers are all floats.
            single = isinstance(labels, int | float) and not isinstance(labels, bool)
            parsed_labels = parse_labels([labels] if single else labels, label_field)
    box_xyxy = parse_box(box, f"{field}.input_box{box_suffix}") if box is not None else None
    try:
        return Prompt(points=parsed, labels=parsed_labels, box_xyxy=box_xyxy)
    except PromptError as error:
        raise PromptError(f"{field}: {error}") from error


def parse_mask_inputs(
    value: Any, prompts: tuple[Prompt, ...], several: bool, field: str
) -> tuple[NDArray[np.float32], ...]:
    """Return the (1, S, S) float32 logits for each prompt, or nothing.

    Raises:
        RequestError: their number is not that of the prompts, or one is malformed.
    """
    if value is None:
        return ()
    if not prompts:
        raise RequestError(f"{field}: only with a prompt")
    values = value if several else [value]
    if not isinstance(values, list) or len(values) != len(prompts):
        raise RequestError(f"{field}: expected one for each of the {len(prompts)} objects")
    return tuple(
        parse_logits(item, f"{field}[{number}]" if several else field)
        for number, item in enumerate(values)
    )


def parse_logits(value: Any, field: str) -> NDArray[np.float32]:
    """Return the logits of an earlier reply, compact or nested, as (1, S, S) float32.

    Raises:
        RequestError: neither form, another shape, or values that are not finite.
    """
    if isinstance(value, dict):
        shape, dtype = value.get("shape"), value.get("dtype")
        if isinstance(shape, list):  # protobuf's numbers are all floats
            whole = [int(n) if isinstance(n, float) and n.is_integer() else n for n in shape]
            shape = whole
        sides = isinstance(shape, list) and all(
            isinstance(n, int) and not isinstance(n, bool) and 1 <= n <= MAX_LOGITS_SIDE
            for n in shape
        )
        if not sides or not isinstance(shape, list) or len(shape) not in (2, 3):
            raise RequestError(f"{field}.shape: expected [1, S, S], got {shown(shape)}")
        if not isinstance(dtype, str) or dtype not in ("float16", "float32"):
            raise RequestError(f"{field}.dtype: expected float16 or float32, got {shown(dtype)}")
        data = decode_base64(value.get("data"), f"{field}.data")
        expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if len(data) != expected:
            raise RequestError(f"{field}.data: expected {expected} bytes, got {len(data)}")
        logits = np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(shape)
    elif isinstance(value, list):
        try:
            logits = np.array(value, dtype=np.float32)
        except (ValueError, TypeError, OverflowError) as error:
            raise RequestError(f"{field}: expected nested lists of numbers [S][S]") from error
    else:
        raise RequestError(f"{field}: expected the logits of an earlier reply, got {shown(value)}")
    values: NDArray[np.float32] = np.asarray(logits, dtype=np.float32)
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or len(values) != 1 or not np.isfinite(values).all():
        raise RequestError(f"{field}: expected (1, S, S) finite numbers, got shape {values.shape}")
    return np.ascontiguousarray(values)
