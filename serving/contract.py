"""What a request may say, checked before any model runs.

::

    {"instances": [{"file_path": "a.jpg", "image": "<base64>" | "image_uri": "gs://...",
                    "input_point": [x, y] | [[x, y], ...] | [[[x, y], ...], ...],
                    "input_label": [1, ...], "input_box": [x0, y0, x1, y1] | [[...], ...],
                    "multimask_output": false, "mask_input": {...}}],
     "parameters": {...}}

Points in one list belong to one object. Several objects are a list of boxes, a list of lists of
points, or both with equal length; their masks come in one list for each object. An instance
without any prompt is segmented automatically.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.errors import RequestError
from serving.object_access import check_allowed
from serving.parameters import Parameters, parse_parameters
from serving.sam.errors import PromptError
from serving.sam.prompts import Prompt, parse_box, parse_labels, parse_point, parse_points
from serving.settings import ServingSettings

KEYS = (
    "file_path",
    "image",
    "image_uri",
    "input_point",
    "input_label",
    "input_box",
    "multimask_output",
    "mask_input",
)
_PROMPT_KEYS = ("input_point", "input_label", "input_box")
MAX_NAME = 512
MAX_LOGITS_SIDE = 1024


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One image and what to segment in it.

    Attributes:
        field: its JSON path in the request, for messages.
        file_path: the client's name of the image; only echoed.
        image: content of the image file, or ``None`` with ``image_uri``.
        image_uri: ``gs://`` object in an allowed folder, or empty.
        prompts: an object each; empty for automatic masks.
        several: whether the client asked in the form of several objects.
        multimask_output: three candidates for each object instead of one mask.
        mask_inputs: (1, S, S) float32 logits of an earlier reply for each object, or empty.
    """

    field: str
    file_path: str
    image: bytes | None
    image_uri: str
    prompts: tuple[Prompt, ...]
    several: bool
    multimask_output: bool
    mask_inputs: tuple[NDArray[np.float32], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A request with its bad instances as errors in their places."""

    instances: list[Instance | RequestError]
    parameters: Parameters


def _shown(value: Any) -> str:
    return repr(value)[:60] if not isinstance(value, str) else repr(value[:60])


def parse_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        RequestError: empty, no UTF-8, no JSON, nested too deeply, or no object.
    """
    if not body:
        raise RequestError('the body is empty; expected {"instances": [...]}')
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"the body is not valid JSON: {str(error)[:200]}") from error
    if not isinstance(content, dict):
        raise RequestError(f'expected {{"instances": [...]}}, got {_shown(content)}')
    return content


def parse_request(content: dict[str, Any], limits: ServingSettings) -> Request:
    """Return what a request asks for.

    Raises:
        RequestError: the request as a whole is wrong; a bad instance becomes an error in its stead.
    """
    for key in content:
        if key not in ("instances", "parameters"):
            raise RequestError(f"unknown key {key[:60]!r}; known are instances, parameters")
    instances = content.get("instances")
    if not isinstance(instances, list) or not instances:
        raise RequestError(f"instances: expected a list with at least one, got {_shown(instances)}")
    if len(instances) > limits.max_instances:
        raise RequestError(
            f"instances: {len(instances)}, more than the limit of {limits.max_instances}; "
            "send several requests",
            413,
        )
    parameters = parse_parameters(content.get("parameters"), limits)
    parsed: list[Instance | RequestError] = []
    for number, value in enumerate(instances):
        field = f"instances[{number}]"
        try:
            parsed.append(_instance(value, field, limits))
        except PromptError as error:
            parsed.append(RequestError(str(error)))
        except RequestError as error:
            parsed.append(error)
    return Request(parsed, parameters)


def _instance(value: Any, field: str, limits: ServingSettings) -> Instance:
    if not isinstance(value, dict):
        raise RequestError(f'{field}: expected an object with "image", got {_shown(value)}')
    for key in value:
        if key not in KEYS:
            raise RequestError(f"{field}: unknown key {key[:60]!r}; known are {', '.join(KEYS)}")
    image, uri = value.get("image"), value.get("image_uri")
    if (image is None) == (uri is None):
        raise RequestError(f'{field}: give exactly one of "image" (base64) and "image_uri"')
    if uri is not None:
        if not isinstance(uri, str):
            raise RequestError(f"{field}.image_uri: expected gs://..., got {_shown(uri)}")
        check_allowed(uri, limits.read_prefixes, f"{field}.image_uri", "SERVING_READ_PREFIXES")
    prompts, several = _prompts(value, field, limits)
    multimask = value.get("multimask_output", False)
    if not isinstance(multimask, bool):
        raise RequestError(
            f"{field}.multimask_output: expected true or false, got {_shown(multimask)}"
        )
    if multimask and not prompts:
        raise RequestError(f"{field}.multimask_output: only with a prompt")
    return Instance(
        field=field,
        file_path=_file_path(value.get("file_path", ""), f"{field}.file_path"),
        image=None if image is None else _base64(image, f"{field}.image"),
        image_uri=uri or "",
        prompts=prompts,
        several=several,
        multimask_output=multimask,
        mask_inputs=_mask_inputs(value.get("mask_input"), prompts, several, f"{field}.mask_input"),
    )


def _file_path(value: Any, field: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise RequestError(f"{field}: expected a name of at most {MAX_NAME} characters")
    strange = "\\" in value or any(ord(character) < 32 for character in value)
    if strange or value.startswith(("/", "~")) or ".." in value.split("/"):
        raise RequestError(
            f"{field}: expected a plain or relative name such as a.jpg, got {_shown(value)}"
        )
    return value


def _base64(value: Any, field: str) -> bytes:
    if not isinstance(value, str):
        raise RequestError(f"{field}: expected the image file as base64 text, got {_shown(value)}")
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


def _prompts(
    value: dict[str, Any], field: str, limits: ServingSettings
) -> tuple[tuple[Prompt, ...], bool]:
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
            single = isinstance(labels, int) and not isinstance(labels, bool)
            parsed_labels = parse_labels([labels] if single else labels, label_field)
    box_xyxy = parse_box(box, f"{field}.input_box{box_suffix}") if box is not None else None
    try:
        return Prompt(points=parsed, labels=parsed_labels, box_xyxy=box_xyxy)
    except PromptError as error:
        raise PromptError(f"{field}: {error}") from error


def _mask_inputs(
    value: Any, prompts: tuple[Prompt, ...], several: bool, field: str
) -> tuple[NDArray[np.float32], ...]:
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
    """Return logits that a reply gave, compact or nested, as (1, S, S) float32.

    Raises:
        RequestError: another form, shape, or not finite.
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
            raise RequestError(f"{field}.shape: expected [1, S, S], got {_shown(shape)}")
        if not isinstance(dtype, str) or dtype not in ("float16", "float32"):
            raise RequestError(f"{field}.dtype: expected float16 or float32, got {_shown(dtype)}")
        data = _base64(value.get("data"), f"{field}.data")
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
        raise RequestError(f"{field}: expected the logits of an earlier reply, got {_shown(value)}")
    values: NDArray[np.float32] = np.asarray(logits, dtype=np.float32)
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or len(values) != 1 or not np.isfinite(values).all():
        raise RequestError(f"{field}: expected (1, S, S) finite numbers, got shape {values.shape}")
    return np.ascontiguousarray(values)
