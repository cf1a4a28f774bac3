"""The families that the engine knows. A new one is an entry here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.sam.architectures import (
    PIXEL_MEAN,
    PIXEL_STD,
    VIT_B,
    MobileSamArchitecture,
    SamArchitecture,
)
from serving.sam.errors import CheckpointError
from serving.sam.families.family import Family, ImageEncoder, MaskHead
from serving.sam.families.preprocessing import LongestSide, Squash

if TYPE_CHECKING:
    import torch
    from segment_anything.modeling import Sam

    from serving.sam.architectures import Architecture

_HINT = "docs/checkpoints.md has the families"


def _fast_vit(sam: Sam, dtype: torch.dtype) -> ImageEncoder:
    from serving.sam.encoder import FastEncoder

    return FastEncoder(sam.image_encoder, dtype)


def _tiny_vit(sam: Sam, dtype: torch.dtype) -> ImageEncoder:
    import torch

    def encode(square: torch.Tensor, /) -> torch.Tensor:
        half = dtype != torch.float32
        with torch.autocast(square.device.type, dtype if half else None, enabled=half):
            features: torch.Tensor = sam.image_encoder(square)
        return features.float()

    return encode


def _longest_side(side: int) -> LongestSide:
    return LongestSide(side, PIXEL_MEAN, PIXEL_STD)


SAM = Family(
    name="sam",
    title="Segment Anything (SAM 1)",
    source="https://github.com/facebookresearch/segment-anything",
    licence="Apache-2.0",
    preprocessing=_longest_side,
    encoder=_fast_vit,
    fits=lambda architecture: isinstance(architecture, SamArchitecture),
)
# Its weights are those of a fine-tuned vit_b; nothing in them says how it is fed and read.
MEDSAM = Family(
    name="medsam",
    title="MedSAM: Segment Anything in medical images",
    source="https://github.com/bowang-lab/MedSAM",
    licence="Apache-2.0",
    preprocessing=Squash,
    encoder=_fast_vit,
    head=MaskHead(enlarges_probabilities=True),
    needs_boxes=True,
    fits=lambda architecture: architecture == VIT_B,
)

# Its decoder is SAM's, its encoder another.
MOBILE = Family(
    name="mobile_sam",
    title="MobileSAM",
    source="https://github.com/ChaoningZhang/MobileSAM",
    licence="Apache-2.0",
    preprocessing=_longest_side,
    encoder=_tiny_vit,
    fits=lambda architecture: isinstance(architecture, MobileSamArchitecture),
)

FAMILIES: dict[str, Family] = {family.name: family for family in (SAM, MEDSAM, MOBILE)}


def find_family(name: str) -> Family:
    """The family of a name.

    Raises:
        CheckpointError: there is none.
    """
    if name not in FAMILIES:
        raise CheckpointError(
            f"family: expected one of {', '.join(FAMILIES)}, got {name!r}", hint=_HINT
        )
    return FAMILIES[name]


def fitting_families(architecture: Architecture) -> list[str]:
    """The names of the families whose networks may have an architecture."""
    return [family.name for family in FAMILIES.values() if family.fits(architecture)]


def choose_family(architecture: Architecture, named: str, place: str) -> Family:
    """The family of weights that nobody published: the named one, or the only one that fits.

    Args:
        architecture: of the weights.
        named: by the caller; empty where nobody said.
        place: the weights' file, for messages.

    Raises:
        CheckpointError: the named family has no such networks, or several have and none is named.
    """
    if named:
        family = find_family(named)
        if not family.fits(architecture):
            raise CheckpointError(
                f"{place}: the weights are not those of a network of the family {named}", hint=_HINT
            )
        return family
    fitting = fitting_families(architecture)
    if len(fitting) > 1:
        raise CheckpointError(
            f"{place}: weights of this shape may be of the family {' or '.join(fitting)}, which "
            "prepare images differently, and nothing in the file says which",
            hint=f"say which: --family {fitting[0]} (or SERVING_FAMILY={fitting[0]}), as the "
            "weights were trained",
        )
    return FAMILIES[fitting[0]]
