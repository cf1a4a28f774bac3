"""The fast encoder gives what the official one gives, whatever its windows and positions."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from serving.sam.encoder import FastEncoder, relative_positions
from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

ensure_torchvision_ops()

TOLERANCE = 2e-5  # sums of a few thousand float32 products, taken in another order


def official(side: int = 64, **changed: object) -> Any:
    """A small official encoder whose every weight differs from nought."""
    from segment_anything.modeling import ImageEncoderViT

    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "img_size": side, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3,
        "out_chans": 16, "use_rel_pos": True, "window_size": 3, "global_attn_indexes": (1,),
        "norm_layer": partial(nn.LayerNorm, eps=1e-6),
    }  # fmt: skip
    encoder = ImageEncoderViT(**{**settings, **changed})
    for parameter in encoder.parameters():
        nn.init.normal_(parameter, std=0.3)
    return encoder.eval()


@pytest.mark.parametrize(
    ("side", "changed"),
    [
        pytest.param(64, {}, id="windows that do not divide the grid"),
        pytest.param(64, {"window_size": 4}, id="windows that do"),
        pytest.param(64, {"window_size": 0}, id="no windows"),
        pytest.param(64, {"qkv_bias": False}, id="no bias to pad with"),
        pytest.param(64, {"use_rel_pos": False}, id="no relative positions"),
        pytest.param(64, {"use_abs_pos": False}, id="no absolute positions"),
        pytest.param(104, {"window_size": 14}, id="one window and a rest"),
    ],
)
def test_encoder_equals_the_official_one(side: int, changed: dict[str, object]) -> None:
    encoder = official(side, **changed)
    image = torch.randn(1, 3, side, side)
    with torch.inference_mode():
        expected, actual = encoder(image), FastEncoder(encoder)(image)
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_encoder_in_half_precision_stays_near() -> None:
    encoder = official()
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected, actual = encoder(image), FastEncoder(encoder, torch.bfloat16)(image)
    assert actual.dtype == torch.float32
    error = (actual - expected).norm() / expected.norm()
    assert error < 0.05


@pytest.mark.parametrize("size", [5, 8, 9])
def test_relative_positions_are_the_official_ones(size: int) -> None:
    """Also for a table of another length, which the encoder stretches."""
    from segment_anything.modeling.image_encoder import get_rel_pos

    table = torch.randn(15, 4)
    expected = get_rel_pos(size, size, table)
    torch.testing.assert_close(relative_positions(table, size), expected)
