"""The image encoder, rewritten for speed: the same function of the same weights.

Two things differ from ``segment_anything.modeling.ImageEncoderViT``. It computes queries, keys and
values before it pads the windows (a padded position has the bias as its value). It computes
attention for some positions at a time instead of for all pairs at once (``image_attention``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from serving.sam.layers.image_attention import attend
from serving.sam.machine.free_cores import look_again
from serving.sam.machine.products import linear, linear_plus

if TYPE_CHECKING:
    from segment_anything.modeling import ImageEncoderViT


def relative_positions(table: torch.Tensor, size: int) -> torch.Tensor:
    """Rows of a relative-position table for all pairs: (size, size, C) from (2 * L - 1, C).

    Stretches a table of another length, as the official code does.
    """
    if table.shape[0] != 2 * size - 1:
        stretched = F.interpolate(table.T[None], size=2 * size - 1, mode="linear")
        table = stretched[0].T
    distance = torch.arange(size, device=table.device)
    return table[distance[:, None] - distance[None, :] + size - 1]


class FastEncoder:
    """Calls an official encoder's weights in a faster order.

    Args:
        encoder: the loaded module; the fast encoder shares its weights, and of those of its
            matrix products it has copies where they are not float32.
        dtype: of the matrix products; float32 is exact.
    """

    def __init__(self, encoder: ImageEncoderViT, dtype: torch.dtype = torch.float32) -> None:
        self._encoder = encoder
        self._dtype = dtype
        self._positions = [
            tuple(self._cast(relative_positions(table, self._side(block))) for table in tables)
            if (tables := self._tables(block))
            else None
            for block in encoder.blocks
        ]
        self._weights: dict[nn.Module, tuple[torch.Tensor, torch.Tensor | None]] = {
            layer: self._cast_layer(layer)
            for block in encoder.blocks
            for layer in (block.attn.qkv, block.attn.proj, block.mlp.lin1, block.mlp.lin2)
        }
        if any(type(block.mlp.act) is not nn.GELU for block in encoder.blocks):
            raise TypeError("expected the official encoder's exact GELU")

    def _side(self, block: Any) -> int:
        stride = int(self._encoder.patch_embed.proj.stride[0])
        return int(block.window_size) or int(self._encoder.img_size) // stride

    @staticmethod
    def _tables(block: Any) -> tuple[torch.Tensor, ...]:
        attention = block.attn
        return (attention.rel_pos_h, attention.rel_pos_w) if attention.use_rel_pos else ()

    def _cast(self, value: torch.Tensor) -> torch.Tensor:
        return value.detach().to(self._dtype)

    def _cast_layer(self, layer: nn.Linear) -> tuple[torch.Tensor, torch.Tensor | None]:
        # ``nn.Linear(bias=False)`` has no bias, which its annotation does not say.
        bias: torch.Tensor | None = layer.bias
        return self._cast(layer.weight), None if bias is None else self._cast(bias)

    def _linear(self, layer: nn.Linear, value: torch.Tensor, *, gelu: bool = False) -> torch.Tensor:
        return linear(value, *self._weights[layer], gelu=gelu)

    def _add(self, x: torch.Tensor, layer: nn.Linear, value: torch.Tensor) -> torch.Tensor:
        """The running sum with a layer's output added; it stays float32."""
        if self._dtype != torch.float32:
            return x + self._linear(layer, value)
        return linear_plus(x, value, *self._weights[layer])

    @staticmethod
    def _norm(layer: nn.LayerNorm, value: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(
            value.float(), layer.normalized_shape, layer.weight, layer.bias, layer.eps
        )

    def _attention(self, number: int, x: torch.Tensor) -> torch.Tensor:
        """Attention of one block on normalized tokens (1, S, S, C), before its projection."""
        block = self._encoder.blocks[number]
        attention, window = block.attn, int(block.window_size)
        heads, side = attention.num_heads, x.shape[1]
        mixed = self._linear(attention.qkv, x)
        if window and side % window:
            pad = window - side % window
            padded = mixed.new_empty(1, side + pad, side + pad, mixed.shape[-1])
            # What the official code pads is zero before this layer, so it comes out as the bias.
            bias = self._weights[attention.qkv][1]
            fill = 0 if bias is None else bias
            padded[:, side:] = fill
            padded[:, :side, side:] = fill
            padded[:, :side, :side] = mixed
            mixed = padded
        whole = mixed.shape[1]
        span = window or whole
        count = whole // span
        # (1, wy, y, wx, x, 3, heads, D) -> (3, wy * wx, heads, y * x, D)
        parts = mixed.view(count, span, count, span, 3, heads, -1)
        parts = parts.permute(4, 0, 2, 5, 1, 3, 6).contiguous()
        q, k, v = parts.view(3, count * count, heads, span * span, -1)
        positions = self._positions[number]
        if positions is None:
            attended = F.scaled_dot_product_attention(q, k, v)
        else:
            attended = attend(q, k, v, *positions)
        attended = attended.view(count, count, heads, span, span, -1).permute(0, 3, 1, 4, 2, 5)
        attended = attended.reshape(1, whole, whole, -1)[:, :side, :side]
        return attended.contiguous()

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Image embedding (1, C, G, G) float32 of a normalized, padded image (1, 3, S, S)."""
        encoder = self._encoder
        x = encoder.patch_embed(image)
        if encoder.pos_embed is not None:
            x = x + encoder.pos_embed
        x = x.contiguous()  # else the first sum would be one of strided and contiguous memory
        for number, block in enumerate(encoder.blocks):
            look_again()  # seconds are long enough for others to come and go
            attended = self._attention(number, self._norm(block.norm1, x).to(self._dtype))
            x = self._add(x, block.attn.proj, attended)
            normed = self._norm(block.norm2, x).to(self._dtype)
            x = self._add(x, block.mlp.lin2, self._linear(block.mlp.lin1, normed, gelu=True))
        features: torch.Tensor = encoder.neck(x.permute(0, 3, 1, 2))
        return features
