"""What the image encoder makes of one image: the start of every prompt on it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from serving.sam.decoder import PreparedImage


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """What the image encoder made of one image; every prompt on that image starts here.

    Attributes:
        features: (1, C, G, G) float32 on the engine's device.
        original_size_hw: the image's size in pixels.
        input_size_hw: its size after scaling to the network's frame, before padding.
        shared: what the mask decoder makes of the features for every prompt.
    """

    features: torch.Tensor
    original_size_hw: tuple[int, int]
    input_size_hw: tuple[int, int]
    shared: PreparedImage

    @property
    def size_bytes(self) -> int:
        """Memory that keeping it costs."""
        own = self.features.numel() * self.features.element_size()
        return own + self.shared.size_bytes
