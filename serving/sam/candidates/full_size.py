"""Masks at the image's size: one interface, two orders of computing."""

from __future__ import annotations

from serving.sam.candidates.masks_one_by_one import MasksOneByOne
from serving.sam.candidates.masks_together import MasksTogether
from serving.sam.candidates.upsampling import Upsampling

FullSizeMasks = MasksOneByOne | MasksTogether


def full_size_masks(
    upsampling: Upsampling,
    origin_xy: tuple[int, int] = (0, 0),
    image_size_hw: tuple[int, int] | None = None,
) -> FullSizeMasks:
    """What measures, encodes and draws masks of one image on the device of its ``upsampling``.

    On a CPU a mask is made only where it lies, while that is in the cache; a GPU makes many whole
    ones at once. Both give the same masks; a pixel on the threshold may round to the other side.

    Args:
        upsampling: to the size of the image, or of a crop of it.
        origin_xy: of the crop in the image.
        image_size_hw: of the image that masks are encoded in; by default without what is around.
    """
    kind = MasksOneByOne if upsampling.device.type == "cpu" else MasksTogether
    return kind(upsampling, origin_xy, image_size_hw)
