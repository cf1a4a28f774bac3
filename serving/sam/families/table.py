"""The families that the engine knows. A new one is an entry here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.sam.architectures import PIXEL_MEAN, PIXEL_STD
from serving.sam.families.family import Family, ImageEncoder
from serving.sam.families.preprocessing import LongestSide

if TYPE_CHECKING:
    import torch
    from segment_anything.modeling import Sam


def _fast_vit(sam: Sam, dtype: torch.dtype) -> ImageEncoder:
    from serving.sam.encoder import FastEncoder

    return FastEncoder(sam.image_encoder, dtype)


def _longest_side(side: int) -> LongestSide:
    return LongestSide(side, PIXEL_MEAN, PIXEL_STD)


SAM = Family(
    name="sam",
    title="Segment Anything (SAM 1)",
    source="https://github.com/facebookresearch/segment-anything",
    licence="Apache-2.0",
    preprocessing=_longest_side,
    encoder=_fast_vit,
)

FAMILIES: dict[str, Family] = {family.name: family for family in (SAM,)}
