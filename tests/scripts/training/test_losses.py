"""The loss prefers right masks, and a corrective click falls where a mask is wrong."""

from __future__ import annotations

import torch

from scripts.training.losses import corrective_click, mask_iou, mask_loss


def test_mask_loss_prefers_the_right_mask_and_its_half_tones() -> None:
    target = torch.zeros(16, 16)
    target[4:12, 4:12] = 1.0
    target[3, 4:12] = 0.5
    right = torch.where(target > 0.75, 8.0, -8.0)
    right[3, 4:12] = 0.0
    assert mask_loss(right, target) < mask_loss(-right, target)
    harder = right.clone()
    harder[3, 4:12] = 8.0
    assert mask_loss(right, target) < mask_loss(harder, target)
    assert mask_iou(right, target) > 0.85


def test_corrective_click_falls_where_the_mask_is_wrong() -> None:
    targets = torch.zeros(1, 2, 8, 8)
    targets[:, :, 2:6, 2:6] = 1
    logits = torch.where(targets > 0, 5.0, -5.0)
    logits[0, 0, 2, 2] = -5.0  # missed
    logits[0, 1, 7, 7] = 5.0  # spilled
    point, label = corrective_click(logits, targets)
    assert point.tolist() == [[[4.0, 4.0], [14.0, 14.0]]]
    assert label.tolist() == [[1, 0]]
