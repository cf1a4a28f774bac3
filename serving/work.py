"""A request on its way: what was asked, what is prepared, what came of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.contract import Instance
from serving.errors import Refusal
from serving.parameters import Parameters
from serving.replies import logits_in_format, mask_in_format
from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.embedding import Embedding
from serving.sam.images import RgbImage
from serving.sam.masks import MaskRecord, Rle


@dataclasses.dataclass(slots=True, kw_only=True)
class Prepared:
    """An instance whose image is at hand.

    Attributes:
        instance: what the client asked.
        digest: SHA-256 of the image file.
        image: (H, W, 3) uint8 RGB, or ``None`` where its embedding is at hand.
        embedding: of an earlier request on the same image.
        settings: of automatic masks.
    """

    instance: Instance
    digest: str
    image: RgbImage | None
    embedding: Embedding | None
    settings: AutomaticSettings


@dataclasses.dataclass(slots=True)
class Prompted:
    """What prompts on an image gave: for each object its candidates, not yet in the form asked."""

    masks: list[list[Rle]]
    scores: list[list[float]]
    logits: list[NDArray[np.float32]]


Outcome = Prompted | list[MaskRecord] | Refusal


@dataclasses.dataclass(slots=True)
class Work:
    """A request on its way through the predictor.

    Attributes:
        parameters: of the request.
        names: ``file_path`` of every instance.
        prepared: instances, or what is wrong with them.
        outcomes: what came of each; empty before prediction.
        seconds: what the computing is expected to take.
    """

    parameters: Parameters
    names: list[str]
    prepared: list[Prepared | Refusal]
    outcomes: list[Outcome] = dataclasses.field(default_factory=list)
    seconds: float = 0.0


def refuse_failed(found: list[Any], parameters: Parameters) -> None:
    """Raise where nothing is left to do, or where the caller wants all or nothing."""
    errors = [item for item in found if isinstance(item, Refusal)]
    if errors and (len(errors) == len(found) or parameters.on_error == "fail"):
        if len(errors) > 1:
            more = f" (and {len(errors) - 1} more instances are wrong)"
            raise type(errors[0])(errors[0].message + more, errors[0].status_code)
        raise errors[0]


def outcome_as_json(
    outcome: Prompted | list[MaskRecord], several: bool, parameters: Parameters
) -> dict[str, Any]:
    """One prediction's masks (and scores and logits) as JSON."""
    form = parameters.mask_format
    if not isinstance(outcome, Prompted):
        masks = [
            {**record, "segmentation": mask_in_format(record["segmentation"], form)}
            for record in outcome
        ]
        return {"masks": masks}
    shown: dict[str, list[Any]] = {
        "masks": [[mask_in_format(rle, form) for rle in group] for group in outcome.masks],
        "scores": list(outcome.scores),
    }
    if parameters.return_logits:
        shown["logits"] = [
            [logits_in_format(one, form) for one in group] for group in outcome.logits
        ]
    return shown if several else {name: values[0] for name, values in shown.items()}
