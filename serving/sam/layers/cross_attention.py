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

from serving.sam.machine.products import add_products, linear

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


def fold(per_head: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Tokens (B, H, T, D) times the weights of their head (H, D, C): (B, H * T, C)."""
    return torch.einsum("bhtd,hdc->bhtc", per_head, weights).flatten(1, 2)


class CrossAttention:
    """The weights of one attention, split by head, and what they do in either direction.

    ``token_queries`` and ``token_keys_values`` project the tokens of a whole batch of prompts;
    ``gather`` and ``update`` attend for some of them: the image tokens of one prompt at a time stay
    in a CPU's cache, a GPU takes all.

    Args:
        attention: the official module, whose weights it shares.
        positions: (N, C) float32, the image's positional encoding.
        dtype: of the image tokens and their products.

    Attributes:
        query_weights, key_weights, value_weights, output_weights: (H, D, C) each.
        value_bias: (H * D,).
        output_bias: (C,).
        key_positions, query_positions: (H, D, N), the projected positions, constants of the model.
    """

    query_weights: torch.Tensor
    key_weights: torch.Tensor
    value_weights: torch.Tensor
    output_weights: torch.Tensor
    value_bias: torch.Tensor
    output_bias: torch.Tensor
    key_positions: torch.Tensor
    query_positions: torch.Tensor

    def __init__(self, attention: Attention, positions: torch.Tensor, dtype: torch.dtype) -> None:
        self._attention, self._dtype = attention, dtype
        self.heads = int(attention.num_heads)
        self._width = attention.internal_dim // self.heads
        self._scale: float = self._width**-0.5
        self.query_weights, self.key_weights, self.value_weights = (
            layer.weight.detach().unflatten(0, (self.heads, self._width))
            for layer in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        self.output_weights = attention.out_proj.weight.detach().T.unflatten(
            0, (self.heads, self._width)
        )
        self.value_bias = attention.v_proj.bias.detach()
        self.output_bias = attention.out_proj.bias.detach()
        # A constant added to every position of a key does not change its softmax, so keys go
        # without their bias.
        self.key_positions = (self.key_weights @ positions.T).to(dtype)
        bias = attention.q_proj.bias.detach().unflatten(0, (self.heads, self._width))
        self.query_positions = (self.query_weights @ positions.T + bias[..., None]).to(dtype)

    def image_keys(self, image: torch.Tensor) -> torch.Tensor:
        """Keys (H, D, N) of an image (N, C) that all prompts share."""
        return self._projected(self.key_weights, image) + self.key_positions

    def image_values(self, image: torch.Tensor) -> torch.Tensor:
        """Values (H, N, D) of an image (N, C) that all prompts share."""
        values: torch.Tensor = (image @ self.value_weights.transpose(1, 2)).to(self._dtype)
        return values

    def image_queries(self, image: torch.Tensor) -> torch.Tensor:
        """Queries (H, D, N) of an image (N, C) that all prompts share."""
        return self._projected(self.query_weights, image) + self.query_positions

    def _projected(self, weights: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """An image (N, C) float32 times weights (H, D, C): (H, D, N)."""
        product = linear(weights.flatten(0, 1), image).to(self._dtype)
        projected: torch.Tensor = product.unflatten(0, (self.heads, -1))
        return projected

    def _per_head(self, layer: nn.Linear, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (B, T, C), projected: (B, H, T, D)."""
        projected: torch.Tensor = layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return projected

    def queries(self, positioned: torch.Tensor) -> torch.Tensor:
        """Scaled queries (B, H, T, D) of tokens (B, T, C), float32 with their prompt added."""
        queries: torch.Tensor = self._per_head(self._attention.q_proj, positioned) * self._scale
        return queries

    def keys(self, positioned: torch.Tensor) -> torch.Tensor:
        """Scaled keys (B, H, T, D) of tokens (B, T, C), float32 with their prompt added."""
        keys: torch.Tensor = self._per_head(self._attention.k_proj, positioned) * self._scale
        return keys

    def values(self, tokens: torch.Tensor) -> torch.Tensor:
        """Values (B, H, T, D) of tokens (B, T, C) float32."""
        return self._per_head(self._attention.v_proj, tokens)

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
        queries = self.queries(positioned)
        weights = self._products(queries, keys).transpose(0, 1).softmax(-1)
        attended = (
            torch.bmm(weights.flatten(1, 2), values).unflatten(1, (len(positioned), -1)).float()
        )
        return self.project_out(attended.permute(1, 2, 0, 3).flatten(2))

    def token_queries(self, positioned: torch.Tensor) -> TokenQueries:
        """Queries of tokens (B, T, C), float32 with their prompt added, for ``gather``."""
        queries = self.queries(positioned)
        return TokenQueries(queries, fold(queries, self.key_weights).to(self._dtype))

    def gather(self, queries: TokenQueries, images: torch.Tensor) -> torch.Tensor:
        """Image tokens (b, N, C), averaged by each head of each token: (b, H * T, C)."""
        products = self._products(queries.per_head, self.key_positions).flatten(1, 2)
        weights = add_products(products, queries.folded, images).softmax(-1)
        return torch.bmm(weights, images)

    def project(self, gathered: torch.Tensor) -> torch.Tensor:
        """Output (B, T, C) float32 of tokens, whose heads gathered (B, H * T, C)."""
        per_head = gathered.unflatten(1, (self.heads, -1)).float()
        values = torch.einsum("bhtc,hdc->bthd", per_head, self.value_weights)
        return self.project_out(values.flatten(2))

    def project_out(self, values: torch.Tensor) -> torch.Tensor:
        """Output (B, T, C) of what tokens read: values (B, T, H * D) without their bias."""
        # The weights of every token add up to one, so the values' bias can come after them.
        output: torch.Tensor = self._attention.out_proj(values + self.value_bias)
        return output

    # Tokens write to the image.

    def token_keys_values(self, positioned: torch.Tensor, tokens: torch.Tensor) -> TokenKeysValues:
        """Keys and values of tokens (B, T, C), with their prompt added and without."""
        keys = self.keys(positioned)
        # Every head's weights add up to one, so the bias can be spread over the heads.
        values = fold(self.values(tokens), self.output_weights) + self.output_bias / self.heads
        folded = fold(keys, self.query_weights)
        return TokenKeysValues(keys, values.to(self._dtype), folded.to(self._dtype))

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
        products = self._products(keys_values.keys, self.query_positions).flatten(1, 2)
        products = add_products(products, keys_values.folded, images)
        weights = products.unflatten(1, (self.heads, -1)).softmax(2).flatten(1, 2)
        return torch.baddbmm(images, weights.transpose(1, 2), keys_values.values)
