"""What a family of networks has of its own."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from segment_anything.modeling import Sam

    from serving.sam.families.preprocessing import Preprocessing


class ImageEncoder(Protocol):
    """Embeds the square that a network sees."""

    def __call__(self, square: torch.Tensor, /) -> torch.Tensor:
        """The embedding (1, C, G, G) float32 of a prepared square (1, 3, S, S) float32."""
        ...


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
    """

    name: str
    title: str
    source: str
    licence: str
    preprocessing: Callable[[int], Preprocessing]
    encoder: Callable[[Sam, torch.dtype], ImageEncoder]
