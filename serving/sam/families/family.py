"""What a family of networks has of its own."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Protocol

from serving.sam.errors import ParameterError, PromptError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from segment_anything.modeling import Sam

    from serving.sam.architectures import Architecture
    from serving.sam.families.preprocessing import Preprocessing
    from serving.sam.prompts import Prompt


class ImageEncoder(Protocol):
    """Embeds the square that a network sees."""

    def __call__(self, square: torch.Tensor, /) -> torch.Tensor:
        """The embedding (1, C, G, G) float32 of a prepared square (1, 3, S, S) float32."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class MaskHead:
    """How the small masks of the decoder are read.

    Attributes:
        enlarges_probabilities: whether they are enlarged as probabilities, as MedSAM's are, or as
            logits, as SAM's. Both are cut at the same height; between two cells they differ.
    """

    enlarges_probabilities: bool = False

    def values(self, logits: torch.Tensor) -> torch.Tensor:
        """What is enlarged of logits (..., h, w): they themselves, or probability - 0.5."""
        return (logits / 2).tanh() / 2 if self.enlarges_probabilities else logits

    def distance(self, offset: float) -> float:
        """How far from the mask's threshold, 0, a logit's offset lies among these values."""
        return math.tanh(offset / 2) / 2 if self.enlarges_probabilities else offset


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of network.

    Attributes:
        name: what operators call it.
        title: its full name.
        source: the official code, which is what parity is tested against.
        licence: of that code and its weights.
        preprocessing: of a network whose square has that many pixels a side.
        encoder: of a loaded network on its device, with products of that type.
        head: how its masks are read.
        needs_boxes: whether it was trained with boxes alone, so that a point or the whole image
            are no prompts for it.
        fits: whether networks of an architecture may be of this family.
    """

    name: str
    title: str
    source: str
    licence: str
    preprocessing: Callable[[int], Preprocessing]
    encoder: Callable[[Sam, torch.dtype], ImageEncoder]
    head: MaskHead = MaskHead()
    needs_boxes: bool = False
    fits: Callable[[Architecture], bool]

    def check_prompt(self, prompt: Prompt, field: str) -> None:
        """Refuse what the family was not trained for.

        Raises:
            PromptError: there is no box, and the family needs one.
        """
        if self.needs_boxes and prompt.box_xyxy is None:
            raise PromptError(
                f"{field}: expected a box, got points alone: {self.name} was trained with boxes"
            )

    def check_automatic(self, field: str) -> None:
        """Refuse to segment everything where the family was not trained for it.

        Raises:
            ParameterError: the family needs boxes.
        """
        if self.needs_boxes:
            raise ParameterError(
                f"{field}: no prompts, and {self.name} was trained with boxes alone, so it cannot "
                "segment everything; give each object a box",
                hint="prompts with boxes: docs/running.md; or a checkpoint of another family",
            )
