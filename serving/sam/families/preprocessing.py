"""How an image becomes the square that a network sees, and where its pixels lie there."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.sam.errors import ParameterError
from serving.sam.families.smooth_resize import resize_smoothly
from serving.sam.images import RgbImage

if TYPE_CHECKING:
    import torch
    from segment_anything.utils.transforms import ResizeLongestSide

Triple = tuple[float, float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """Where one image lies in the square that a network sees.

    Attributes:
        side: of the square, in its pixels.
        input_size_hw: of the image in the square, from the top left; what is left is padding.
        original_size_hw: of the image, in its own pixels.
        masks_by_square: whether small masks are enlarged to the square first and from there to the
            image, as SAM's are, or to the image at once.
    """

    side: int
    input_size_hw: tuple[int, int]
    original_size_hw: tuple[int, int]
    masks_by_square: bool = True

    def place(self, coords_xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 2) of the image, XY, as points of the square."""
        (height, width), (kept_height, kept_width) = self.original_size_hw, self.input_size_hw
        scale = np.array([kept_width / width, kept_height / height])
        return np.asarray(coords_xy * scale)

    def first_enlargement(self, cells: int) -> tuple[int, tuple[int, int]]:
        """To how many pixels a side masks of ``cells`` a side are enlarged first, and what of them
        is the image, (height, width)."""
        return (self.side, self.input_size_hw) if self.masks_by_square else (cells, (cells, cells))


class Preprocessing(Protocol):
    """Brings images into the square that a network sees."""

    def frame(self, size_hw: tuple[int, int]) -> Frame:
        """Where an image of that size will lie.

        Raises:
            ParameterError: nothing would be left of one side.
        """
        ...

    def shrink(self, image: RgbImage) -> RgbImage:
        """What the square shows of an image (H, W, 3): (h, w, 3) uint8 RGB, in any thread."""
        ...

    def square(self, shrunk: RgbImage, device: torch.device) -> torch.Tensor:
        """The square (1, 3, S, S) float32 of what ``shrink`` returned."""
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
        height, width = size_hw
        kept = _transform(self.side).get_preprocess_shape(height, width, self.side)
        if not min(kept):
            raise ParameterError(
                f"image: {width}x{height} pixels; brought to {self.side} pixels a side, nothing is "
                f"left of the shorter one: its sides may differ by {2 * self.side} times at most"
            )
        return Frame(self.side, (kept[0], kept[1]), size_hw)

    def shrink(self, image: RgbImage) -> RgbImage:
        """The image with its longer side as long as the square."""
        shrunk: RgbImage = _transform(self.side).apply_image(image)
        return shrunk

    def square(self, shrunk: RgbImage, device: torch.device) -> torch.Tensor:
        """The square (1, 3, S, S) float32 of what ``shrink`` returned."""
        import torch.nn.functional as F

        from serving.sam.machine.transfers import upload

        pixels = upload(shrunk, device).permute(2, 0, 1)[None].contiguous()
        mean, std = _statistics(self.mean, self.std, device)
        height, width = pixels.shape[2:]
        return F.pad((pixels - mean) / std, (0, self.side - width, 0, self.side - height))


@dataclasses.dataclass(frozen=True, slots=True)
class Squash:
    """As MedSAM: the whole square whatever the image's proportions, and the image's own range.

    ``MedSAM_Inference.py`` of https://github.com/bowang-lab/MedSAM: bicubic with anti-aliasing, cut
    to whole numbers, stretched from the darkest to the brightest sample to 0-1.

    Attributes:
        side: of the square, in pixels.
    """

    side: int

    def frame(self, size_hw: tuple[int, int]) -> Frame:
        """Where an image of that size will lie: everywhere."""
        return Frame(self.side, (self.side, self.side), size_hw, masks_by_square=False)

    def shrink(self, image: RgbImage) -> RgbImage:
        """The image as the whole square, whatever its proportions."""
        # scikit-image's own rounding decides what becomes of 199.99999999999997; this is the 200.
        return (resize_smoothly(image, self.side) + 1e-9).astype(np.uint8)

    def square(self, shrunk: RgbImage, device: torch.device) -> torch.Tensor:
        """The square (1, 3, S, S) float32 of what ``shrink`` returned."""
        from serving.sam.machine.transfers import upload

        low, high = float(shrunk.min()), float(shrunk.max())
        values = ((np.arange(256) - low) / max(high - low, 1e-8)).astype(np.float32)
        return upload(values[shrunk], device).permute(2, 0, 1)[None].contiguous()


@functools.cache
def _transform(side: int) -> ResizeLongestSide:
    """The official resizing, for squares of so many pixels a side."""
    from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

    ensure_torchvision_ops()
    from segment_anything.utils.transforms import ResizeLongestSide

    return ResizeLongestSide(side)


@functools.cache
def _statistics(mean: Triple, std: Triple, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Mean and standard deviation, (3, 1, 1) each; sent to a GPU once, not with every image."""
    import torch

    return tuple(torch.tensor(values, device=device).view(3, 1, 1) for values in (mean, std))
