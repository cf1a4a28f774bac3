"""What the mask decoder's tokens do among themselves: attention to each other, norms and an MLP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from serving.sam.machine.products import linear

if TYPE_CHECKING:
    from segment_anything.modeling import MaskDecoder
    from segment_anything.modeling.transformer import TwoWayAttentionBlock


def with_special_tokens(decoder: MaskDecoder, sparse: torch.Tensor) -> torch.Tensor:
    """Prompt tokens (B, P, C) after those of the IoU and the masks: (B, 1 + masks + P, C)."""
    special = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    return torch.cat([special.expand(len(sparse), -1, -1), sparse], dim=1)


def among_tokens(
    layer: TwoWayAttentionBlock, tokens: torch.Tensor, prompt: torch.Tensor
) -> torch.Tensor:
    """Tokens (B, T, C) after they attended to each other, with their prompt added to ask."""
    if layer.skip_first_layer_pe:
        tokens = layer.self_attn(q=tokens, k=tokens, v=tokens)
    else:
        asking = tokens + prompt
        tokens = tokens + layer.self_attn(q=asking, k=asking, v=tokens)
    normed: torch.Tensor = layer.norm1(tokens)
    return normed


def after_reading(
    layer: TwoWayAttentionBlock, tokens: torch.Tensor, read: torch.Tensor
) -> torch.Tensor:
    """Tokens (B, T, C) with what they read from the image, after both norms and the MLP."""
    tokens = layer.norm2(tokens + read)
    mlp = layer.mlp
    hidden = mlp.act(linear(tokens, mlp.lin1.weight, mlp.lin1.bias))
    changed = tokens + linear(hidden, mlp.lin2.weight, mlp.lin2.bias)
    normed: torch.Tensor = layer.norm3(changed)
    return normed
