"""Attention between a prompt's few tokens and an image's many positions.

Names as in ``segment_anything.modeling.transformer``: N image positions, T tokens, H heads of D
channels, C channels in all. T is about 7 where N is 4096, so ``q (K W)^T = (q W^T) K^T``: the few
tokens are projected instead of the many positions, on the way in and on the way out.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import nn

from serving.sam.machine.products import add_products

if TYPE_CHECKING:
    from segment_anything.modeling.transformer import Attention


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What tokens ask of image sides of their own.

    Attributes:
        tokens: (B, H, T, D), scaled.
        folded: (B, H * T, C), the same as products with the image side itself.
    """

    tokens: torch.Tensor
    folded: torch.Tensor

    def __getitem__(self, part: slice) -> Question:
        return Question(self.tokens[part], self.folded[part])


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """What tokens offer to the positions of an image.

    Attributes:
        keys: (B, H, T, D), scaled.
        values: (B, H * T, C), as they are added to the image side.
        folded: (B, H * T, C), the keys as products with the image side itself.
    """

    keys: torch.Tensor
    values: torch.Tensor
    folded: torch.Tensor

    def __getitem__(self, part: slice) -> Offer:
        return Offer(self.keys[part], self.values[part], self.folded[part])


class CrossAttention:
    """The weights of one attention, a head apart, and what they do in either direction.

    Tokens are prepared for a whole batch of prompts (``ask``, ``offer``) and meet image sides for
    some of them (``take``, ``give``): one prompt at a time stays in a CPU's cache, a GPU takes all.

    Args:
        attention: the official module; its weights are shared, not copied.
        positions: (N, C) float32, the image's positional encoding.
        dtype: of the image side and its products.
    """

    def __init__(self, attention: Attention, positions: torch.Tensor, dtype: torch.dtype) -> None:
        self._attention, self._dtype = attention, dtype
        self.heads = int(attention.num_heads)
        self._width = attention.internal_dim // self.heads
        self._scale = self._width**-0.5
        # (H, D, C) each.
        self._q, self._k, self._v = (
            layer.weight.detach().unflatten(0, (self.heads, self._width))
            for layer in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        self._out = attention.out_proj.weight.detach().T.unflatten(0, (self.heads, self._width))
        # (H, D, N), constants of the model. A constant added to every position of a key does not
        # change its softmax, so keys go without their bias.
        self._positions_k = (self._k @ positions.T).to(dtype)
        bias = attention.q_proj.bias.detach().unflatten(0, (self.heads, self._width))
        self._positions_q = (self._q @ positions.T + bias[..., None]).to(dtype)

    def image_keys(self, image: torch.Tensor) -> torch.Tensor:
        """Keys (H, D, N) of an image (N, C) that all prompts share."""
        found: torch.Tensor = (self._k @ image.T).to(self._dtype) + self._positions_k
        return found

    def image_values(self, image: torch.Tensor) -> torch.Tensor:
        """Values (H, N, D) of an image (N, C) that all prompts share."""
        found: torch.Tensor = (image @ self._v.transpose(1, 2)).to(self._dtype)
        return found

    def image_queries(self, image: torch.Tensor) -> torch.Tensor:
        """Queries (H, D, N) of an image (N, C) that all prompts share."""
        found: torch.Tensor = (self._q @ image.T).to(self._dtype) + self._positions_q
        return found

    def _per_head(self, layer: nn.Linear, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T, C), projected: (B, H, T, D)."""
        found: torch.Tensor = layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return found

    def _meet(self, tokens: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Products of tokens (B, H, T, D) with a shared side (H, D, N): (B, H, T, N)."""
        flat = tokens.transpose(0, 1).flatten(1, 2).to(self._dtype)
        found: torch.Tensor = torch.bmm(flat, image).unflatten(1, (len(tokens), -1))
        return found.transpose(0, 1)

    # Tokens read from the image.

    def read_shared(
        self, asking: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """What tokens take from an image that all prompts share.

        Args:
            asking: (B, T, C) float32, tokens with their prompt added.
            keys: (H, D, N) of ``image_keys``.
            values: (H, N, D) of ``image_values``.

        Returns:
            (B, T, C) float32.
        """
        asked = self._per_head(self._attention.q_proj, asking) * self._scale
        weights = self._meet(asked, keys).transpose(0, 1).softmax(-1)
        taken = torch.bmm(weights.flatten(1, 2), values).unflatten(1, (len(asking), -1)).float()
        return self._out_of(taken.permute(1, 2, 0, 3).flatten(2))

    def ask(self, asking: torch.Tensor) -> Question:
        """Prepare tokens (B, T, C), float32 with their prompt added, for ``take``."""
        asked = self._per_head(self._attention.q_proj, asking) * self._scale
        folded = torch.einsum("bhtd,hdc->bhtc", asked, self._k).flatten(1, 2)
        return Question(asked, folded.to(self._dtype))

    def take(self, question: Question, sides: torch.Tensor) -> torch.Tensor:
        """What each head of each token gathers of image sides (b, N, C): (b, H * T, C)."""
        products = self._meet(question.tokens, self._positions_k).flatten(1, 2)
        weights = add_products(products, question.folded, sides).softmax(-1)
        return torch.bmm(weights, sides)

    def answer(self, taken: torch.Tensor) -> torch.Tensor:
        """What tokens read, (B, T, C) float32, from what their heads gathered, (B, H * T, C)."""
        whole = taken.unflatten(1, (self.heads, -1)).float()
        return self._out_of(torch.einsum("bhtc,hdc->bthd", whole, self._v).flatten(2))

    def _out_of(self, values: torch.Tensor) -> torch.Tensor:
        # The weights of every token add up to one, so the values' bias can come after them.
        found: torch.Tensor = self._attention.out_proj(values + self._attention.v_proj.bias)
        return found

    # Tokens write to the image.

    def offer(self, asking: torch.Tensor, tokens: torch.Tensor) -> Offer:
        """Prepare tokens (B, T, C), with their prompt added and without, for ``give``."""
        keys = self._per_head(self._attention.k_proj, asking) * self._scale
        values = self._per_head(self._attention.v_proj, tokens)
        values = torch.einsum("bhtd,hdc->bhtc", values, self._out)
        # Every head's weights add up to one, so the bias can be spread over the heads.
        values = values + self._attention.out_proj.bias / self.heads
        folded = torch.einsum("bhtd,hdc->bhtc", keys, self._q)
        return Offer(
            keys, values.flatten(1, 2).to(self._dtype), folded.flatten(1, 2).to(self._dtype)
        )

    def give_shared(self, offer: Offer, queries: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        """A shared image side with what each prompt's tokens give it added.

        Args:
            offer: of b prompts.
            queries: (H, D, N) of ``image_queries``.
            side: (1, N, C).

        Returns:
            (b, N, C).
        """
        weights = self._meet(offer.keys, queries).softmax(2).flatten(1, 2)
        before = side.expand(len(weights), -1, -1)
        return torch.baddbmm(before, weights.transpose(1, 2), offer.values)

    def give(self, offer: Offer, sides: torch.Tensor) -> torch.Tensor:
        """Image sides (b, N, C) with what their prompts' tokens give them added."""
        products = self._meet(offer.keys, self._positions_q).flatten(1, 2)
        products = add_products(products, offer.folded, sides)
        weights = products.unflatten(1, (self.heads, -1)).softmax(2).flatten(1, 2)
        return torch.baddbmm(sides, weights.transpose(1, 2), offer.values)
