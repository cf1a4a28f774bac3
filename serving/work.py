"""A request on its way through the predictor: its instances, their images, their masks."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.contract import Instance
from serving.errors import Refusal
from serving.parameters import Parameters
from serving.replies import logits_in_format, mask_in_format
from serving.request_budget import RequestBudget
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.embedding import Embedding
from serving.sam.images import RgbImage
from serving.sam.masks import MaskRecord, Rle


@dataclasses.dataclass(slots=True, kw_only=True)
class Prepared:
    """An instance with its decoded image, or with the cached embedding of that image.

    Attributes:
        instance: as the request gives it.
        digest: SHA-256 of the image file, which is its ``image_id``.
        image: (H, W, 3) uint8 RGB, or ``None`` where the cache holds its embedding, and again when
            the masks are computed.
        embedding: from the cache, where an earlier request embedded the same image.
        settings: for automatic masks.
        reserved: pixels of the image for which ``DecodedPixels`` made room.
    """

    instance: Instance
    digest: str
    image: RgbImage | None
    embedding: Embedding | None
    settings: AutomaticSettings
    reserved: int = 0


@dataclasses.dataclass(slots=True)
class Prompted:
    """The masks of prompts on an image, for each object its candidates, before formatting."""

    masks: list[list[Rle]]
    scores: list[list[float]]
    logits: list[NDArray[np.float32]]


MOST_STEM_LETTERS = 80  # of at most 4 bytes; the name of an object has 1,024


class OutOfTime(Exception):
    """The endpoint will have stopped waiting before the work is done."""


Outcome = Prompted | list[MaskRecord] | Refusal


@dataclasses.dataclass(slots=True)
class Work:
    """A request on its way through the predictor.

    Attributes:
        parameters: of the request.
        names: ``file_path`` of every instance.
        budget: pixels and bytes that the request has left.
        prepared: each instance with its image; as the request gives it where its image is decoded
            only when its turn comes; or the error that refuses it.
        outcomes: the masks or the error of each; empty before prediction.
        deadline: when the client stops waiting, by ``time.monotonic``.
    """

    parameters: Parameters
    names: list[str]
    budget: RequestBudget
    prepared: list[Prepared | Instance | Refusal]
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    deadline: float = math.inf

    def check_time(self) -> None:
        """End work that cannot be ready in time.

        Raises:
            OutOfTime: nobody waits for the reply any more.
        """
        if time.monotonic() > self.deadline:
            raise OutOfTime


def refuse_failed(items: list[Any], parameters: Parameters) -> None:
    """Raise the first error if every instance has one, or if ``on_error`` is ``fail``.

    With ``each`` every instance has its own error in the reply, whatever the others have.
    """
    if parameters.on_error == "each":
        return
    errors = [item for item in items if isinstance(item, Refusal)]
    if errors and (len(errors) == len(items) or parameters.on_error == "fail"):
        if len(errors) > 1:
            more = f" (and {len(errors) - 1} more instances are wrong)"
            raise type(errors[0])(errors[0].message + more, errors[0].status_code)
        raise errors[0]


def outcome_as_json(
    outcome: Prompted | list[MaskRecord], several: bool, parameters: Parameters
) -> dict[str, Any]:
    """Return one prediction's masks, and its scores and logits if prompted, as JSON."""
    form = parameters.mask_format
    if not isinstance(outcome, Prompted):
        masks = [
            {**record, "segmentation": mask_in_format(record["segmentation"], form)}
            for record in outcome
        ]
        return {"masks": masks}
    fields: dict[str, list[Any]] = {
        "masks": [[mask_in_format(rle, form) for rle in group] for group in outcome.masks],
        "scores": list(outcome.scores),
    }
    if parameters.return_logits:
        fields["logits"] = [
            [logits_in_format(mask, form) for mask in group] for group in outcome.logits
        ]
    return fields if several else {name: values[0] for name, values in fields.items()}


def object_name(number: int, file_path: str, digest: str) -> str:
    """The name of the object that holds a prediction: of letters, digits, and few signs.

    Args:
        number: of the instance in its request.
        file_path: the client's name of the image.
        digest: of the prediction.
    """
    stem = PurePosixPath(file_path).stem[:MOST_STEM_LETTERS] or "instance"
    plain = "".join(sign if sign.isalnum() or sign in "-_. " else "_" for sign in stem)
    return f"{number:04d}-{plain}-{digest[:12]}.json"
