"""The image encoder, rewritten for speed: the same function of the same weights.

Three things differ from ``segment_anything.modeling.ImageEncoderViT``. Queries, keys and values are
computed before the windows are padded (a padded position has the bias as its value). Attention is
PyTorch's fused one, with the decomposed relative positions as its bias. The bias of a global block
is made for a few rows at a time instead of for all pairs at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

if TYPE_CHECKING:
    from segment_anything.modeling import ImageEncoderViT

BIAS_BYTES = 48 << 20  # of the bias at once; stays near the processor


def relative_positions(table: torch.Tensor, size: int) -> torch.Tensor:
    """Rows of a relative-position table for all pairs: (size, size, C) from (2 * L - 1, C).

    The table is stretched where its length is another, as the official code does.
    """
    if table.shape[0] != 2 * size - 1:
        stretched = F.interpolate(table.T[None], size=2 * size - 1, mode="linear")
        table = stretched[0].T
    distance = torch.arange(size, device=table.device)
    return table[distance[:, None] - distance[None, :] + size - 1]


def _attend(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor
) -> torch.Tensor:
    """Attention of a square grid with decomposed relative positions.

    Args:
        q, k, v: (B, heads, S * S, D).
        rows, columns: (S, S, D) relative positions of all pairs.

    Returns:
        (B, heads, S * S, D).
    """
    batch, heads, count, _ = q.shape
    side = rows.shape[0]
    grid = q.unflatten(2, (side, side))
    # (B, heads, y, x, D) with (y, y', D), and with (x, x', D): each a batch of matrix products.
    along_y = grid @ rows.transpose(1, 2)
    along_x = (grid.transpose(2, 3) @ columns.transpose(1, 2)).transpose(2, 3)
    at_once = max(1, BIAS_BYTES // (batch * heads * side * count * q.element_size()))
    parts = []
    for top in range(0, side, at_once):
        part = slice(top, top + at_once)
        bias = along_y[:, :, part, :, :, None] + along_x[:, :, part, :, None, :]
        bias = bias.flatten(4).flatten(2, 3)
        wanted = q[:, :, top * side : (top + at_once) * side]
        parts.append(F.scaled_dot_product_attention(wanted, k, v, attn_mask=bias))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


class FastEncoder:
    """Calls an official encoder's weights in a faster order.

    Args:
        encoder: the loaded module; its weights are shared, not copied.
        dtype: in which matrices are multiplied; float32 is exact.
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

    def _side(self, block: Any) -> int:
        stride = int(self._encoder.patch_embed.proj.stride[0])
        return int(block.window_size) or int(self._encoder.img_size) // stride

    @staticmethod
    def _tables(block: Any) -> tuple[torch.Tensor, ...]:
        attention = block.attn
        return (attention.rel_pos_h, attention.rel_pos_w) if attention.use_rel_pos else ()

    def _cast(self, value: torch.Tensor) -> torch.Tensor:
        return value.detach().to(self._dtype)

    def _linear(self, layer: nn.Linear, value: torch.Tensor) -> torch.Tensor:
        bias = None if layer.bias is None else self._cast(layer.bias)
        return F.linear(value, self._cast(layer.weight), bias)

    @staticmethod
    def _norm(layer: nn.LayerNorm, value: torch.Tensor) -> torch.Tensor:
        return F.layer_norm(
            value.float(), layer.normalized_shape, layer.weight, layer.bias, layer.eps
        )

    def _attention(self, number: int, x: torch.Tensor) -> torch.Tensor:
        """Attention of one block on normalized tokens (1, S, S, C)."""
        block = self._encoder.blocks[number]
        attention, window = block.attn, int(block.window_size)
        heads, side = attention.num_heads, x.shape[1]
        mixed = self._linear(attention.qkv, x)
        if window and side % window:
            pad = window - side % window
            padded = mixed.new_empty(1, side + pad, side + pad, mixed.shape[-1])
            # What the official code pads is zero before this layer, so it comes out as the bias.
            fill = 0 if attention.qkv.bias is None else self._cast(attention.qkv.bias)
            padded[:, side:] = fill
            padded[:, :side, side:] = fill
            padded[:, :side, :side] = mixed
            mixed = padded
        whole = mixed.shape[1]
        span = window or whole
        count = whole // span
        # (1, wy, y, wx, x, 3, heads, D) -> (3, wy * wx, heads, y * x, D)
        parts = mixed.view(count, span, count, span, 3, heads, -1)
        q, k, v = parts.permute(4, 0, 2, 5, 1, 3, 6).reshape(
            3, count * count, heads, span * span, -1
        )
        positions = self._positions[number]
        if positions is None:
            found = F.scaled_dot_product_attention(q, k, v)
        else:
            # As in the official code, products are scaled and the queries in the bias are not.
            found = _attend(q, k, v, *positions)
        found = found.view(count, count, heads, span, span, -1).permute(0, 3, 1, 4, 2, 5)
        found = found.reshape(1, whole, whole, -1)[:, :side, :side]
        return self._linear(attention.proj, found.contiguous())

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Image embedding (1, C, G, G) float32 of a normalized, padded image (1, 3, S, S)."""
        encoder = self._encoder
        x = encoder.patch_embed(image)
        if encoder.pos_embed is not None:
            x = x + encoder.pos_embed
        for number, block in enumerate(encoder.blocks):
            x = x + self._attention(number, self._norm(block.norm1, x).to(self._dtype))
            inner = self._linear(block.mlp.lin1, self._norm(block.norm2, x).to(self._dtype))
            x = x + self._linear(block.mlp.lin2, block.mlp.act(inner))
        features: torch.Tensor = encoder.neck(x.permute(0, 3, 1, 2))
        return features
