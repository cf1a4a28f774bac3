"""Tokens of prompts: ``segment_anything.modeling.PromptEncoder`` without its waits for a GPU.

The official code picks points by masks of their labels, and how many a mask picks only the device
knows: six waits a batch. Here every token has the number of its kind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.machine.transfers import upload

if TYPE_CHECKING:
    from segment_anything.modeling import PromptEncoder

# Kinds of tokens. An official label is the number below its kind's.
NO_POINT, BACKGROUND, FOREGROUND, FIRST_CORNER, SECOND_CORNER = range(5)


class PointTokens:
    """Makes tokens of points and corners with the official encoder's weights.

    Args:
        encoder: the official module on its device.
    """

    def __init__(self, encoder: PromptEncoder) -> None:
        self._encoder = encoder
        layers = [encoder.not_a_point_embed, *encoder.point_embeddings]
        self._kinds = torch.cat([layer.weight for layer in layers]).detach()

    def __call__(self, points: NDArray[Any], kinds: NDArray[np.int64]) -> torch.Tensor:
        """Tokens (B, P, C) float32.

        Args:
            points: (B, P, 2) XY pixels in the network's frame, as precise as the tokens are to be.
            kinds: (B, P), one of the kinds above; a ``NO_POINT`` may lie anywhere.
        """
        device = self._kinds.device
        places, numbers = upload(points + 0.5, device), upload(kinds, device)  # centres of pixels
        encoded = self._encoder.pe_layer.forward_with_coords(places, self._encoder.input_image_size)
        encoded = torch.where((numbers == NO_POINT)[..., None], 0.0, encoded)
        tokens: torch.Tensor = encoded + self._kinds[numbers]
        return tokens

    def of_prompts(
        self,
        points: NDArray[Any] | None,
        labels: NDArray[np.int64] | None,
        boxes: NDArray[Any] | None,
    ) -> torch.Tensor:
        """Tokens (B, P, C) float32 of prompts of one kind, in the official order.

        Args:
            points: (B, P, 2) XY pixels in the network's frame, or none.
            labels: (B, P), 1 on the object and 0 beside it; with points.
            boxes: (B, 2, 2), their first and second corners, or none.
        """
        places, kinds = [], []
        if points is not None and labels is not None:
            places.append(points)
            kinds.append(labels + BACKGROUND)
            if boxes is None:  # where the official code has room for a box, it says there is none
                places.append(np.zeros_like(points[:, :1]))
                kinds.append(np.full((len(points), 1), NO_POINT))
        if boxes is not None:
            places.append(boxes)
            kinds.append(np.tile([FIRST_CORNER, SECOND_CORNER], (len(boxes), 1)))
        return self(np.concatenate(places, 1), np.concatenate(kinds, 1))
