"""The image encoder's output for one image, from which every prompt on it starts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from serving.sam.families.preprocessing import Frame
    from serving.sam.mask_decoder import PreparedImage


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The image encoder's output for one image; every prompt on that image starts here.

    Attributes:
        features: (1, C, G, G) float32 on the engine's device.
        frame: where the image lies in the square that the network sees.
        shared: what the mask decoder computes from the features once for all prompts.
    """

    features: torch.Tensor
    frame: Frame
    shared: PreparedImage

    @property
    def original_size_hw(self) -> tuple[int, int]:
        """The image's size in pixels."""
        return self.frame.original_size_hw

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        own = self.features.numel() * self.features.element_size()
        return own + self.shared.size_bytes
