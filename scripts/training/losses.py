"""What training minimizes: the loss of masks and of their predicted IoU, after simulated clicks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from scripts.training import network
from scripts.training.prompts import NEGATIVE, POSITIVE, Batch
from serving.sam.architectures import VIT_TINY

if TYPE_CHECKING:
    from segment_anything.modeling import Sam


def mask_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """20 x soft focal + dice of each mask.

    Args:
        logits: (..., H, W).
        targets: (..., H, W) coverage in 0-1; edges are fractional, hence the *soft* focal loss
            (quality focal loss, https://arxiv.org/abs/2006.04388, equation 1, with beta 2).

    Returns:
        Loss with the leading shape.
    """
    probability = logits.sigmoid()
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    focal = (cross_entropy * (targets - probability).square()).mean((-2, -1))
    overlap = 2 * (probability * targets).sum((-2, -1)) + 1
    dice = 1 - overlap / (probability.sum((-2, -1)) + targets.sum((-2, -1)) + 1)
    return 20 * focal + dice


def mask_iou(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """IoU of each thresholded mask with its thresholded target; the leading shape."""
    predicted, expected = logits > 0, targets > 0.5
    intersection = (predicted & expected).sum((-2, -1))
    return intersection / (predicted | expected).sum((-2, -1)).clamp(min=1)


def corrective_click(
    logits: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A click in the wrong region of each mask, at random: where it misses or spills over.

    Args:
        logits: (B, P, h, w), half the crop's resolution.
        targets: (B, P, h, w) coverage in 0-1.

    Returns:
        XY in pixels of the crop (B, P, 2) and label (B, P).
    """
    wrong = ((logits > 0) != (targets > 0.5)).flatten(2).float()
    wrong += 1e-6 * (targets.flatten(2) > 0.5)  # a perfect mask gets one more click inside
    spot = torch.multinomial(wrong.flatten(0, 1) + 1e-12, 1).view(wrong.shape[:2])
    width = logits.shape[-1]
    point = torch.stack([spot % width, spot // width], dim=-1).float() * 2
    inside = targets.flatten(2).gather(2, spot[..., None])[..., 0] > 0.5
    return point, torch.where(inside, POSITIVE, NEGATIVE)


def batch_loss(sam: Sam, batch: Batch, corrective: bool) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of one batch and the figures worth printing."""
    targets = batch.targets.float() / 255
    coords, labels, offsets = batch.coords, batch.labels, batch.offsets
    with torch.autocast("cpu", torch.bfloat16):
        embedding = network.embed(sam, batch.images, batch.valid, offsets)
        sparse = network.sparse_embeddings(sam, coords, labels, offsets, VIT_TINY.patch_size)
        previous = None
        if corrective:
            with torch.no_grad():
                first, first_iou = network.decode(sam, embedding, sparse, offsets)
                best = first_iou.argmax(-1)[..., None, None, None].expand(
                    -1, -1, 1, *first.shape[-2:]
                )
                previous = first.gather(2, best)[:, :, 0].float()
                click, label = corrective_click(previous, targets)
            # The official order: points, then padding or box corners.
            coords = torch.cat([click[:, :, None], coords], dim=2)
            labels = torch.cat([label[:, :, None], labels], dim=2)
            sparse = network.sparse_embeddings(sam, coords, labels, offsets, VIT_TINY.patch_size)
        logits, predicted = network.decode(sam, embedding, sparse, offsets, previous)
    logits, predicted = logits.float(), predicted.float()
    expected = targets[:, :, None].expand_as(logits)
    losses = mask_loss(logits, expected)
    with torch.no_grad():
        iou = mask_iou(logits, expected)
    several = losses[..., 1:].min(-1).values
    single = losses[..., 0]
    quality = F.mse_loss(predicted, iou)
    # A box asks for one mask, and its user reads the single one; a click reads the best of three.
    box = network.is_box(labels)
    loss = (
        (several * torch.where(box, 0.5, 1.0)).mean()
        + (single * torch.where(box, 1.5, 0.5)).mean()
        + quality
    )
    chosen = iou[..., 1:].gather(-1, predicted[..., 1:].argmax(-1, keepdim=True))[..., 0]
    return loss, {
        "loss": loss.item(),
        "point": chosen[~box].mean().item(),
        "box": iou[..., 0][box].mean().item(),
        "oracle": iou[..., 1:].max(-1).values.mean().item(),
        "quality": quality.item(),
    }
