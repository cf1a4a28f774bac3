"""The request for one image, as clients send it to the model server."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.terminal.errors import OperatorError
from serving.sam.prompts import Prompt
from serving.storage import SCHEME, open_parent


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestedImage:
    """The image of a request: its content, or where the server reads it.

    Attributes:
        name: its name, echoed in the reply.
        data: content of the image file, or ``None`` with ``uri``.
        uri: a ``gs://`` object that the server may read, or empty.
    """

    name: str
    data: bytes | None = None
    uri: str = ""


def read_image(image: str, *, endpoint: bool, here: bool = False) -> RequestedImage:
    """Read an image file; leave a ``gs://`` object to the endpoint.

    Args:
        image: path or URI.
        endpoint: whether the request goes to the deployed endpoint, which may read the bucket.
        here: whether this process computes, which reads the object itself.

    Raises:
        StorageError: the object cannot be read.
        OperatorError: the file cannot be read, or a server on this machine would have to read a
            bucket.
    """
    if image.startswith(SCHEME):
        if here:
            folder, name = open_parent(image)
            return RequestedImage(name=name, data=folder.read_bytes(name), uri=image)
        if not endpoint:
            raise OperatorError(f"{image}: a server here reads no bucket", hint="--endpoint")
        return RequestedImage(name=image.rpartition("/")[2], uri=image)
    path = Path(image).expanduser()
    try:
        return RequestedImage(name=path.name, data=path.read_bytes())
    except OSError as error:
        raise OperatorError(
            f"cannot read {path}: {error.strerror or error}", hint="give an image file"
        ) from error


def make_request(
    image: RequestedImage,
    prompts: Sequence[Prompt],
    *,
    multimask: bool = False,
    points_per_side: int | None = None,
) -> dict[str, Any]:
    """The body of a request for one image, which asks for masks in RLE.

    Args:
        image: the image.
        prompts: one for each object; none for automatic masks.
        multimask: whether to ask for three candidates for each object.
        points_per_side: grid of automatic masks; ``None`` for the checkpoint's own.
    """
    parameters: dict[str, Any] = {"mask_format": "rle"}
    if points_per_side is not None:
        parameters["points_per_side"] = points_per_side
    instance = make_instance(image.name, image.data, image.uri, prompts, multimask=multimask)
    return {"instances": [instance], "parameters": parameters}


def make_instance(
    name: str, data: bytes | None, uri: str, prompts: Sequence[Prompt], *, multimask: bool = False
) -> dict[str, Any]:
    """One instance of a request.

    Args:
        name: the image's name, echoed in the reply.
        data: content of the image file, or ``None`` with ``uri``.
        uri: a ``gs://`` object that the server may read.
        prompts: one for each object; none for automatic masks.
        multimask: whether to ask for three candidates for each object.
    """
    instance: dict[str, Any] = {"file_path": name}
    if data is None:
        instance["image_uri"] = uri
    else:
        instance["image"] = base64.b64encode(data).decode("ascii")
    if len(prompts) == 1:
        prompt = prompts[0]
        if prompt.points:
            instance["input_point"] = [list(point) for point in prompt.points]
            instance["input_label"] = list(prompt.labels)
        if prompt.box_xyxy is not None:
            instance["input_box"] = list(prompt.box_xyxy)
    elif prompts:
        if any(prompt.points for prompt in prompts):
            instance["input_point"] = [[list(p) for p in prompt.points] for prompt in prompts]
            instance["input_label"] = [list(prompt.labels) for prompt in prompts]
        if all(prompt.box_xyxy is not None for prompt in prompts):
            instance["input_box"] = [list(prompt.box_xyxy or ()) for prompt in prompts]
    if prompts and multimask:
        instance["multimask_output"] = True
    return instance
