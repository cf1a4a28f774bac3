"""Attention among an image's positions with decomposed relative positions, on a CPU and on a GPU.

The relative positions of a pair are the sum of one for its rows and one for its columns, both
products with the query (Li et al., MViTv2, 2022; ``add_decomposed_rel_pos`` in the official code).
That sum is a bias of the attention. PyTorch's fused attention takes it, but on a CPU three plain
products are faster (a third in float32, more than half in bfloat16), and all pairs of an image of
4096 positions are 800 MB. So a CPU computes a block of positions at a time.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F

from serving.sam.machine.products import linear, linear_plus

# Of the bias at once, for the fused attention: this much, or on a GPU this part of its memory, so
# that from 24 GB on vit_b's 4096 positions are one launch in 16 bits (400 MB). UNVERIFIED on a GPU.
BIAS_BYTES = 48 << 20
BIAS_PART = 48
# PyTorch copies a bias whose rows do not begin at multiples of so many numbers, every time
# (aten/src/ATen/native/transformers/attention.cpp, ``mem_eff_alignment`` and ``pad_bias``).
BIAS_ALIGNMENT = 8
ROWS_AT_ONCE = 8  # of a grid of positions, on a CPU: their products with all others are 8 MB
MANY_POSITIONS = 1024  # from here on one head at a time, below it many windows at a time
WINDOWS_BYTES = 4 << 20  # of products at once


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    rows: torch.Tensor,
    columns: torch.Tensor,
) -> torch.Tensor:
    """Attention of square grids with decomposed relative positions.

    Args:
        q, k, v: (B, heads, S * S, D), contiguous.
        rows, columns: (S, S, D) relative positions of all pairs.

    Returns:
        (B, heads, S * S, D).
    """
    side = rows.shape[0]
    grid = q.unflatten(2, (side, side))
    # (B, heads, y, x, D) with (y, y', D), and with (x, x', D): each a batch of matrix products.
    along_y = grid @ rows.transpose(1, 2)
    along_x = (grid.transpose(2, 3) @ columns.transpose(1, 2)).transpose(2, 3)
    if q.device.type != "cpu":
        return _fused(q, k, v, along_y, along_x)
    # As in the official code, products are scaled and the queries in the bias are not.
    k = k * k.shape[-1] ** -0.5
    if side * side < MANY_POSITIONS:
        return _windows(q, k, v, along_y, along_x)
    return _large(q, k, v, along_y, along_x)


def _bias(along_y: torch.Tensor, along_x: torch.Tensor) -> torch.Tensor:
    """(..., y * x, y' * x') from (..., y, x, y') and (..., y, x, x')."""
    return (along_y[..., :, None] + along_x[..., None, :]).flatten(-2).flatten(-3, -2)


def _aligned_bias(along_y: torch.Tensor, along_x: torch.Tensor) -> torch.Tensor:
    """The same, with rows that begin where PyTorch's attention wants them."""
    *outer, rows, side, _ = along_y.shape
    count = side * side
    padded = -(-count // BIAS_ALIGNMENT) * BIAS_ALIGNMENT
    bias = along_y.new_empty(*outer, rows * side, padded)[..., :count]
    parts = bias.unflatten(-1, (side, side)).unflatten(-3, (rows, side))
    torch.add(along_y[..., :, None], along_x[..., None, :], out=parts)
    return bias


def _bias_bytes(device: torch.device) -> int:
    """How much of the bias a device makes at once."""
    if device.type != "cuda":
        return BIAS_BYTES
    return max(BIAS_BYTES, torch.cuda.get_device_properties(device).total_memory // BIAS_PART)


def _fused(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, along_y: torch.Tensor, along_x: torch.Tensor
) -> torch.Tensor:
    batch, heads, count, _ = q.shape
    side = along_y.shape[2]
    at_once = max(1, _bias_bytes(q.device) // (batch * heads * side * count * q.element_size()))
    parts = []
    for top in range(0, side, at_once):
        part = slice(top, top + at_once)
        bias = _aligned_bias(along_y[:, :, part], along_x[:, :, part])
        queries = q[:, :, top * side : (top + at_once) * side]
        parts.append(F.scaled_dot_product_attention(queries, k, v, attn_mask=bias))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


def _windows(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, along_y: torch.Tensor, along_x: torch.Tensor
) -> torch.Tensor:
    """Some windows at a time, all heads together."""
    batch, heads, count, _ = q.shape
    at_once = max(1, WINDOWS_BYTES // (heads * count * count * q.element_size()))
    attended = torch.empty_like(q)
    for start in range(0, batch, at_once):
        part = slice(start, start + at_once)
        products = _bias(along_y[part], along_x[part]).flatten(0, 1)
        products.baddbmm_(q[part].flatten(0, 1), k[part].flatten(0, 1).transpose(1, 2))
        torch.bmm(products.softmax(-1), v[part].flatten(0, 1), out=attended[part].flatten(0, 1))
    return attended


def _large(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, along_y: torch.Tensor, along_x: torch.Tensor
) -> torch.Tensor:
    """A head at a time, some rows of positions at a time."""
    side = along_y.shape[2]
    attended = torch.empty_like(q)
    values_transposed = v.transpose(2, 3).contiguous()
    for head in itertools.product(range(q.shape[0]), range(q.shape[1])):
        for top in range(0, side, ROWS_AT_ONCE):
            part = slice(top, top + ROWS_AT_ONCE)
            block = slice(top * side, (top + ROWS_AT_ONCE) * side)
            bias = _bias(along_y[head][part], along_x[head][part])
            products = linear_plus(bias, q[head][block], k[head])
            attended[head][block] = linear(products.softmax(-1), values_transposed[head])
    return attended
