"""How an image becomes the square that a network sees, and where its pixels lie there."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.sam.errors import ParameterError
from serving.sam.images import RgbImage

if TYPE_CHECKING:
    import torch

Triple = tuple[float, float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """Where one image lies in the square that a network sees.

    Attributes:
        side: of the square, in its pixels.
        input_size_hw: of the image in the square, from the top left; what is left is padding.
        original_size_hw: of the image, in its own pixels.
    """

    side: int
    input_size_hw: tuple[int, int]
    original_size_hw: tuple[int, int]

    def place(self, coords_xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 2) of the image, XY, as points of the square."""
        (height, width), (kept_height, kept_width) = self.original_size_hw, self.input_size_hw
        scale = np.array([kept_width / width, kept_height / height])
        return np.asarray(coords_xy * scale)


class Preprocessing(Protocol):
    """Brings images into the square that a network sees."""

    def frame(self, size_hw: tuple[int, int]) -> Frame:
        """Where an image of that size will lie.

        Raises:
            ParameterError: nothing would be left of one side.
        """
        ...

    def prepare(self, image: RgbImage, device: torch.device) -> torch.Tensor:
        """The square (1, 3, S, S) float32 of an image (H, W, 3) uint8 RGB."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class LongestSide:
    """As SAM 1: the longer side fills the square, the rest is zero, colours are standardized.

    ``segment_anything.utils.transforms.ResizeLongestSide`` and ``Sam.preprocess``.

    Attributes:
        side: of the square, in pixels.
        mean, std: of each colour, in 0-255.
    """

    side: int
    mean: Triple
    std: Triple

    def frame(self, size_hw: tuple[int, int]) -> Frame:
        """Where an image of that size will lie: at the top left.

        Raises:
            ParameterError: nothing would be left of the shorter side.
        """
        from segment_anything.utils.transforms import ResizeLongestSide

        height, width = size_hw
        kept = ResizeLongestSide.get_preprocess_shape(height, width, self.side)
        if not min(kept):
            raise ParameterError(
                f"image: {width}x{height} pixels; brought to {self.side} pixels a side, nothing is "
                f"left of the shorter one: its sides may differ by {2 * self.side} times at most"
            )
        return Frame(self.side, (kept[0], kept[1]), size_hw)

    def prepare(self, image: RgbImage, device: torch.device) -> torch.Tensor:
        """The square (1, 3, S, S) float32 of an image (H, W, 3) uint8 RGB."""
        import torch
        import torch.nn.functional as F
        from segment_anything.utils.transforms import ResizeLongestSide

        scaled = torch.as_tensor(ResizeLongestSide(self.side).apply_image(image), device=device)
        pixels = scaled.permute(2, 0, 1)[None].contiguous()
        mean, std = _statistics(self.mean, self.std, device)
        height, width = pixels.shape[2:]
        return F.pad((pixels - mean) / std, (0, self.side - width, 0, self.side - height))


@functools.cache
def _statistics(mean: Triple, std: Triple, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Mean and standard deviation, (3, 1, 1) each; sent to a GPU once, not with every image."""
    import torch

    return tuple(torch.tensor(values, device=device).view(3, 1, 1) for values in (mean, std))
