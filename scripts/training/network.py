"""The official network, run on batches of crops with many prompts an image, for training.

``Sam.forward`` takes one size of image and repeats the image embedding in its own way; training
wants crops (a window of the position grid) and B x P prompts at once. Every weight used here
belongs to the official modules, so training changes exactly what the official predictor loads.
"""

from __future__ import annotations

import math

from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

ensure_torchvision_ops()  # before segment_anything, which imports torchvision

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from segment_anything.modeling import MaskDecoder, Sam, image_encoder  # noqa: E402
from torch import nn  # noqa: E402

from scripts.training.prompts import BOX_TOP_LEFT, PADDING  # noqa: E402


def _relative_positions(q_size: int, k_size: int, table: torch.Tensor) -> torch.Tensor:
    """Rows of the table for a crop's true distances, where the official code would stretch it."""
    middle = table.shape[0] // 2
    distance = torch.arange(q_size)[:, None] - torch.arange(k_size)[None, :]
    return table[distance + middle]


def use_true_distances() -> None:
    """Make relative positions of a crop mean pixels, not fractions; the same on a whole image."""
    image_encoder.get_rel_pos = _relative_positions


def initialise(sam: Sam, seed: int) -> None:
    """Fresh weights for training from scratch.

    The published initialisation draws the prompt's position frequencies from N(0, 1) cycles over
    the image; spreading them evenly over 0.5-4 cycles (log scale, random direction) lets a small
    network tell neighbouring positions apart. Checkpoints hold them, so loading does not change.
    """
    torch.manual_seed(seed)
    gaussian = sam.prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
    count = gaussian.shape[1]
    size = 0.5 * 8 ** torch.linspace(0, 1, count)
    angle = torch.rand(count) * 2 * math.pi
    gaussian.copy_(torch.stack([size * angle.cos(), size * angle.sin()]))
    nn.init.trunc_normal_(sam.image_encoder.pos_embed, std=0.02)
    for name, parameter in sam.named_parameters():
        in_block = name.startswith("image_encoder.blocks") and "rel_pos" not in name
        if in_block and parameter.ndim == 2:
            nn.init.trunc_normal_(parameter, std=0.02)
        if "no_mask_embed" in name or "not_a_point" in name or "point_embeddings" in name:
            nn.init.normal_(parameter, std=0.1)


def embed(
    sam: Sam, images: torch.Tensor, valid: torch.Tensor, offsets: torch.Tensor
) -> torch.Tensor:
    """Image embeddings of crops.

    Args:
        images: (B, S, S, 3) uint8 RGB.
        valid: (B, S, S) bool; padding is zero after normalisation, as in ``Sam.preprocess``.
        offsets: (B, 2) int64 XY of the crop in the position grid.

    Returns:
        (B, C, S/8, S/8).
    """
    encoder = sam.image_encoder
    pixels = (images.permute(0, 3, 1, 2) - sam.pixel_mean) / sam.pixel_std
    tokens = encoder.patch_embed(pixels * valid[:, None])
    tokens = tokens + windows(encoder.pos_embed, offsets, tokens.shape[1]).to(tokens.dtype)
    for block in encoder.blocks:
        tokens = block(tokens)
    embedding: torch.Tensor = encoder.neck(tokens.permute(0, 3, 1, 2))
    return embedding.to(tokens.dtype)


def windows(grid: torch.Tensor, offsets: torch.Tensor, side: int) -> torch.Tensor:
    """Cut a (side, side) window a crop from a (1, G, G, C) grid: (B, side, side, C)."""
    span = torch.arange(side)
    rows = offsets[:, 1, None] + span
    columns = offsets[:, 0, None] + span
    return grid[0][rows[:, :, None], columns[:, None, :]]


def sparse_embeddings(
    sam: Sam, coords: torch.Tensor, labels: torch.Tensor, offsets: torch.Tensor, patch: int
) -> torch.Tensor:
    """Prompt tokens (B, P, N, C) of points and box corners given in pixels of the crop."""
    encoder = sam.prompt_encoder
    pixels = coords + offsets[:, None, None, :] * patch + 0.5
    size = encoder.input_image_size
    tokens = encoder.pe_layer.forward_with_coords(pixels.flatten(0, 1), size)
    tokens = tokens.unflatten(0, labels.shape[:2])
    kinds = torch.stack([e.weight[0] for e in encoder.point_embeddings])
    padding = (labels == PADDING)[..., None]
    tokens = torch.where(padding, torch.zeros_like(tokens), tokens)
    kind = kinds[labels.clamp(min=0)]
    return tokens + torch.where(padding, encoder.not_a_point_embed.weight[0], kind)


def decode(
    sam: Sam,
    embedding: torch.Tensor,
    sparse: torch.Tensor,
    offsets: torch.Tensor,
    previous: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """All four masks and predicted IoUs of every prompt.

    Args:
        embedding: (B, C, h, w).
        sparse: (B, P, N, C).
        offsets: (B, 2) int64 XY.
        previous: (B, P, 4h, 4w) logits of an earlier answer, as a mask prompt.

    Returns:
        Logits (B, P, 4, 4h, 4w) and predicted IoU (B, P, 4).
    """
    decoder, prompt_encoder = sam.mask_decoder, sam.prompt_encoder
    batch, prompts = sparse.shape[:2]
    height, width = embedding.shape[-2:]
    positions = windows(prompt_encoder.get_dense_pe().permute(0, 2, 3, 1), offsets, height)
    positions = positions.permute(0, 3, 1, 2).repeat_interleave(prompts, dim=0)
    if previous is None:
        dense = prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    else:
        dense = prompt_encoder.mask_downscaling(previous.flatten(0, 1)[:, None])
    source = embedding.repeat_interleave(prompts, dim=0) + dense.to(embedding.dtype)
    special = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([special.expand(batch * prompts, -1, -1), sparse.flatten(0, 1)], dim=1)
    # One dtype throughout: a bfloat16 value plus a float32 one is float32, and twice the memory.
    hidden, source = decoder.transformer(
        source, positions.to(source.dtype), tokens.to(source.dtype)
    )
    weights = torch.stack(
        [mlp(hidden[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1
    )
    masks = _upscaled_masks(decoder, source, weights, height, width)
    iou = decoder.iou_prediction_head(hidden[:, 0])
    return masks.unflatten(0, (batch, prompts)), iou.unflatten(0, (batch, prompts))


def _upscaled_masks(
    decoder: MaskDecoder, source: torch.Tensor, weights: torch.Tensor, height: int, width: int
) -> torch.Tensor:
    """``output_upscaling`` and the product with the mask tokens, without moving a pixel.

    A 2x2 transposed convolution of stride 2 is one matrix product a position; the pixels inside a
    position move to their rows and columns only when four masks are left of all the channels.

    Args:
        source: (N, height * width, C).
        weights: (N, K, C / 8).

    Returns:
        (N, K, 4 * height, 4 * width) logits.
    """
    first, norm, act, second, act2 = decoder.output_upscaling
    fine = source @ first.weight.flatten(2).transpose(1, 2).flatten(1)
    fine = fine.unflatten(2, (4, -1)) + first.bias.to(fine.dtype)
    fine = act(F.layer_norm(fine, norm.weight.shape, norm.weight, norm.bias, norm.eps))
    finer = fine.to(source.dtype) @ second.weight.flatten(2).transpose(1, 2).flatten(1)
    finer = act2(finer.unflatten(3, (4, -1)) + second.bias.to(finer.dtype))
    masks: torch.Tensor = finer.flatten(1, 3) @ weights.transpose(1, 2).to(finer.dtype)
    masks = masks.reshape(len(masks), height, width, 2, 2, 2, 2, -1)
    return masks.permute(0, 7, 1, 3, 5, 2, 4, 6).flatten(5, 7).flatten(2, 4)


def is_box(labels: torch.Tensor) -> torch.Tensor:
    """(B, P) bool: the prompts that are boxes."""
    return labels[..., 0] == BOX_TOP_LEFT
