"""What a request may contain, checked before any model runs.

::

    {"instances": [{"file_path": "a.jpg",
                    "image": "<base64>" | "image_uri": "gs://..." | "image_id": "<of a reply>",
                    "input_point": [x, y] | [[x, y], ...] | [[[x, y], ...], ...],
                    "input_label": [1, ...], "input_box": [x0, y0, x1, y1] | [[...], ...],
                    "multimask_output": false, "mask_input": {...}}],
     "parameters": {...}}

Points in one list belong to one object. Several objects are a list of boxes, a list of lists of
points, or both with equal length; their masks come in one list for each object. An instance
without any prompt gets automatic masks.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from serving.errors import RequestError
from serving.object_access import check_allowed
from serving.parameters import Parameters, parse_parameters
from serving.prompt_fields import decode_base64, parse_mask_inputs, parse_prompts, shown
from serving.sam.errors import PromptError
from serving.sam.prompts import Prompt
from serving.settings import ServingSettings

KEYS = (
    "file_path",
    "image",
    "image_uri",
    "image_id",
    "input_point",
    "input_label",
    "input_box",
    "multimask_output",
    "mask_input",
)
MAX_NAME = 512
_IMAGE_ID = re.compile("[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One image and what to segment in it.

    Attributes:
        field: its JSON path in the request, for messages.
        file_path: the client's name for the image, which the reply repeats.
        image: content of the image file, or ``None`` with ``image_uri`` or ``image_id``.
        image_uri: ``gs://`` object in an allowed folder, or empty.
        image_id: digest of an image that the server may still have, or empty.
        prompts: one for each object; empty for automatic masks.
        several: whether the client listed objects, even if the list holds a single object.
        multimask_output: three candidates for each object instead of one mask.
        mask_inputs: (1, S, S) float32 logits of an earlier reply for each object, or empty.
    """

    field: str
    file_path: str
    image: bytes | None
    image_uri: str
    image_id: str
    prompts: tuple[Prompt, ...]
    several: bool
    multimask_output: bool
    mask_inputs: tuple[NDArray[np.float32], ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """A parsed request, in which an error takes the position of each bad instance."""

    instances: list[Instance | RequestError]
    parameters: Parameters


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
        raise RequestError(f'expected {{"instances": [...]}}, got {shown(content)}')
    return content


def parse_request(content: dict[str, Any], limits: ServingSettings) -> Request:
    """Return a request, parsed and checked.

    Raises:
        RequestError: the request as a whole is wrong. The error of a bad instance is returned.
    """
    for key in content:
        if key not in ("instances", "parameters"):
            raise RequestError(f"unknown key {key[:60]!r}; known are instances, parameters")
    instances = content.get("instances")
    if not isinstance(instances, list) or not instances:
        raise RequestError(f"instances: expected a list with at least one, got {shown(instances)}")
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
        raise RequestError(f'{field}: expected an object with "image", got {shown(value)}')
    for key in value:
        if key not in KEYS:
            raise RequestError(f"{field}: unknown key {key[:60]!r}; known are {', '.join(KEYS)}")
    image, uri, id_ = (value.get(name) for name in ("image", "image_uri", "image_id"))
    if [image, uri, id_].count(None) != 2:
        raise RequestError(
            f'{field}: give exactly one of "image" (base64), "image_uri" and "image_id"'
        )
    if uri is not None:
        if not isinstance(uri, str):
            raise RequestError(f"{field}.image_uri: expected gs://..., got {shown(uri)}")
        check_allowed(uri, limits.read_prefixes, f"{field}.image_uri", "SERVING_READ_PREFIXES")
    prompts, several = parse_prompts(value, field, limits)
    multimask = value.get("multimask_output", False)
    if not isinstance(multimask, bool):
        raise RequestError(
            f"{field}.multimask_output: expected true or false, got {shown(multimask)}"
        )
    if multimask and not prompts:
        raise RequestError(f"{field}.multimask_output: only with a prompt")
    if id_ is not None and (not isinstance(id_, str) or not _IMAGE_ID.fullmatch(id_)):
        raise RequestError(
            f"{field}.image_id: expected the image_id of an earlier reply, got {shown(id_)}"
        )
    if id_ is not None and not prompts:
        raise RequestError(
            f"{field}.image_id: only with a prompt; for automatic masks send the image"
        )
    return Instance(
        field=field,
        file_path=_file_path(value.get("file_path", ""), f"{field}.file_path"),
        image=None if image is None else decode_base64(image, f"{field}.image"),
        image_uri=uri or "",
        image_id=id_ or "",
        prompts=prompts,
        several=several,
        multimask_output=multimask,
        mask_inputs=parse_mask_inputs(
            value.get("mask_input"), prompts, several, f"{field}.mask_input"
        ),
    )


def _file_path(value: Any, field: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_NAME:
        raise RequestError(f"{field}: expected a name of at most {MAX_NAME} characters")
    strange = "\\" in value or any(ord(character) < 32 for character in value)
    if strange or value.startswith(("/", "~")) or ".." in value.split("/"):
        raise RequestError(
            f"{field}: expected a plain or relative name such as a.jpg, got {shown(value)}"
        )
    return value
