"""The image encoder's output for one image, from which every prompt on it starts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from serving.sam.decoder import PreparedImage


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The image encoder's output for one image; every prompt on that image starts here.

    Attributes:
        features: (1, C, G, G) float32 on the engine's device.
        original_size_hw: the image's size in pixels.
        input_size_hw: its size after scaling to the network's frame, before padding.
        shared: what the mask decoder computes from the features once for all prompts.
    """

    features: torch.Tensor
    original_size_hw: tuple[int, int]
    input_size_hw: tuple[int, int]
    shared: PreparedImage

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        own = self.features.numel() * self.features.element_size()
        return own + self.shared.size_bytes
