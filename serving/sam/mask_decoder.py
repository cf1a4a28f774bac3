"""What a mask decoder does: ``low_rank_decoder`` on a CPU, ``batched_decoder`` on a GPU."""

from __future__ import annotations

import abc
import dataclasses
from typing import Generic, TypeVar

import torch


class PreparedImage(abc.ABC):
    """What every prompt on one image shares; each decoder has its own."""

    __slots__ = ()

    @property
    @abc.abstractmethod
    def device(self) -> torch.device:
        """Where it lies."""

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        values = [getattr(self, field.name) for field in dataclasses.fields(self)]  # type: ignore[arg-type]
        return sum(value.numel() * value.element_size() for value in values)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class DecodedPrompts:
    """Decoded prompts, before their masks are made.

    Attributes:
        scores: (B, 4) float32, predicted IoU of the single mask and of the three.
        mask_tokens: (B, 4, C) float32, before the last attention.
        mask_queries: (B, 4, C) float32, the same with their prompt added.
    """

    scores: torch.Tensor
    mask_tokens: torch.Tensor
    mask_queries: torch.Tensor


Image = TypeVar("Image", bound=PreparedImage)
Decoded = TypeVar("Decoded", bound=DecodedPrompts)


class MaskDecoder(abc.ABC, Generic[Image, Decoded]):
    """Prompts' tokens in, scores and low-resolution masks out."""

    @abc.abstractmethod
    def prepare(self, features: torch.Tensor, dense: torch.Tensor | None = None) -> Image:
        """Compute what all prompts on an image share.

        Args:
            features: (1, C, G, G) float32 embedding.
            dense: (1, C, G, G) of a mask prompt; by default the embedding that stands for no mask.
        """

    @abc.abstractmethod
    def decode(self, image: Image, sparse: torch.Tensor) -> Decoded:
        """Run the transformer for a batch of prompts.

        Args:
            image: from ``prepare``.
            sparse: (B, P, C) float32 prompt tokens, as the official prompt encoder gives them.
        """

    @abc.abstractmethod
    def upscale(
        self, decoded: Decoded, selected: torch.Tensor, extent: tuple[int, int]
    ) -> torch.Tensor:
        """Low-resolution logits of some masks of a batch.

        Args:
            decoded: from ``decode``.
            selected: (K, 2) int64 on the CPU, whatever the device: prompt and mask (0-3) of each,
                in the order of prompts.
            extent: rows and columns of embedding positions that are not padding.

        Returns:
            (K, 4 * rows, 4 * columns) float32.
        """

    @abc.abstractmethod
    def bytes_per_prompt(self, image: Image) -> int:
        """About how much memory a prompt of a batch needs, its masks included."""
