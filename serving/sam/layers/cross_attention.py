"""Attention between a prompt's few tokens and an image's many positions.

Names as in ``segment_anything.modeling.transformer``: N image positions, T tokens, H heads of D
channels, C channels in all. T is about 7 where N is 4096, so ``q (K W)^T = (q W^T) K^T``: project
the few tokens instead of the many positions, on the way in and on the way out.
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
class TokenQueries:
    """Queries of a prompt's tokens, which read image tokens of their own.

    Attributes:
        per_head: (B, H, T, D), scaled.
        folded: (B, H * T, C), the same multiplied by the key weights, so that their products with
            the image tokens themselves are those with the tokens' keys.
    """

    per_head: torch.Tensor
    folded: torch.Tensor

    def __getitem__(self, part: slice) -> TokenQueries:
        return TokenQueries(self.per_head[part], self.folded[part])


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class TokenKeysValues:
    """Keys and values of a prompt's tokens, which the image tokens read.

    Attributes:
        keys: (B, H, T, D), scaled.
        values: (B, H * T, C), multiplied by the output weights: what is added to the image tokens.
        folded: (B, H * T, C), the keys multiplied by the query weights, so that their products with
            the image tokens themselves are those with the tokens' queries.
    """

    keys: torch.Tensor
    values: torch.Tensor
    folded: torch.Tensor

    def __getitem__(self, part: slice) -> TokenKeysValues:
        return TokenKeysValues(self.keys[part], self.values[part], self.folded[part])


class CrossAttention:
    """The weights of one attention, split by head, and what they do in either direction.

    ``token_queries`` and ``token_keys_values`` project the tokens of a whole batch of prompts;
    ``gather`` and ``update`` attend for some of them: the image tokens of one prompt at a time stay
    in a CPU's cache, a GPU takes all.

    Args:
        attention: the official module, whose weights it shares.
        positions: (N, C) float32, the image's positional encoding.
        dtype: of the image tokens and their products.
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
        keys: torch.Tensor = (self._k @ image.T).to(self._dtype) + self._positions_k
        return keys

    def image_values(self, image: torch.Tensor) -> torch.Tensor:
        """Values (H, N, D) of an image (N, C) that all prompts share."""
        values: torch.Tensor = (image @ self._v.transpose(1, 2)).to(self._dtype)
        return values

    def image_queries(self, image: torch.Tensor) -> torch.Tensor:
        """Queries (H, D, N) of an image (N, C) that all prompts share."""
        queries: torch.Tensor = (self._q @ image.T).to(self._dtype) + self._positions_q
        return queries

    def _per_head(self, layer: nn.Linear, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T, C), projected: (B, H, T, D)."""
        projected: torch.Tensor = layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return projected

    def _products(self, tokens: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Tokens (B, H, T, D) times keys or queries of the image (H, D, N): (B, H, T, N)."""
        flat = tokens.transpose(0, 1).flatten(1, 2).to(self._dtype)
        products: torch.Tensor = torch.bmm(flat, image).unflatten(1, (len(tokens), -1))
        return products.transpose(0, 1)

    # Tokens read from the image.

    def attend_shared(
        self, positioned: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> torch.Tensor:
        """Output of tokens that read an image which all prompts share.

        Args:
            positioned: (B, T, C) float32, tokens with their prompt added.
            keys: (H, D, N) of ``image_keys``.
            values: (H, N, D) of ``image_values``.

        Returns:
            (B, T, C) float32.
        """
        queries = self._per_head(self._attention.q_proj, positioned) * self._scale
        weights = self._products(queries, keys).transpose(0, 1).softmax(-1)
        attended = (
            torch.bmm(weights.flatten(1, 2), values).unflatten(1, (len(positioned), -1)).float()
        )
        return self._project_out(attended.permute(1, 2, 0, 3).flatten(2))

    def token_queries(self, positioned: torch.Tensor) -> TokenQueries:
        """Queries of tokens (B, T, C), float32 with their prompt added, for ``gather``."""
        queries = self._per_head(self._attention.q_proj, positioned) * self._scale
        folded = torch.einsum("bhtd,hdc->bhtc", queries, self._k).flatten(1, 2)
        return TokenQueries(queries, folded.to(self._dtype))

    def gather(self, queries: TokenQueries, images: torch.Tensor) -> torch.Tensor:
        """Image tokens (b, N, C), averaged by each head of each token: (b, H * T, C)."""
        products = self._products(queries.per_head, self._positions_k).flatten(1, 2)
        weights = add_products(products, queries.folded, images).softmax(-1)
        return torch.bmm(weights, images)

    def project(self, gathered: torch.Tensor) -> torch.Tensor:
        """Output (B, T, C) float32 of tokens, whose heads gathered (B, H * T, C)."""
        per_head = gathered.unflatten(1, (self.heads, -1)).float()
        return self._project_out(torch.einsum("bhtc,hdc->bthd", per_head, self._v).flatten(2))

    def _project_out(self, values: torch.Tensor) -> torch.Tensor:
        # The weights of every token add up to one, so the values' bias can come after them.
        output: torch.Tensor = self._attention.out_proj(values + self._attention.v_proj.bias)
        return output

    # Tokens write to the image.

    def token_keys_values(self, positioned: torch.Tensor, tokens: torch.Tensor) -> TokenKeysValues:
        """Keys and values of tokens (B, T, C), with their prompt added and without."""
        keys = self._per_head(self._attention.k_proj, positioned) * self._scale
        values = self._per_head(self._attention.v_proj, tokens)
        values = torch.einsum("bhtd,hdc->bhtc", values, self._out)
        # Every head's weights add up to one, so the bias can be spread over the heads.
        values = values + self._attention.out_proj.bias / self.heads
        folded = torch.einsum("bhtd,hdc->bhtc", keys, self._q)
        return TokenKeysValues(
            keys, values.flatten(1, 2).to(self._dtype), folded.flatten(1, 2).to(self._dtype)
        )

    def update_shared(
        self, keys_values: TokenKeysValues, queries: torch.Tensor, image: torch.Tensor
    ) -> torch.Tensor:
        """The shared image tokens, updated by what they read from each prompt's tokens.

        Args:
            keys_values: of b prompts.
            queries: (H, D, N) of ``image_queries``.
            image: (1, N, C), the image tokens.

        Returns:
            (b, N, C).
        """
        weights = self._products(keys_values.keys, queries).softmax(2).flatten(1, 2)
        before = image.expand(len(weights), -1, -1)
        return torch.baddbmm(before, weights.transpose(1, 2), keys_values.values)

    def update(self, keys_values: TokenKeysValues, images: torch.Tensor) -> torch.Tensor:
        """Image tokens (b, N, C), updated by what they read from their prompts' tokens."""
        products = self._products(keys_values.keys, self._positions_q).flatten(1, 2)
        products = add_products(products, keys_values.folded, images)
        weights = products.unflatten(1, (self.heads, -1)).softmax(2).flatten(1, 2)
        return torch.baddbmm(images, weights.transpose(1, 2), keys_values.values)
