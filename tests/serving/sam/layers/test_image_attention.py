"""Each way of computing attention with relative positions gives the plain one's result."""

from __future__ import annotations

import pytest
import torch

from serving.sam.layers import image_attention

TOLERANCE = 2e-5  # sums of a few thousand float32 products, taken in another order


@pytest.mark.parametrize("way", ["_fused", "_windows", "_large"])
@pytest.mark.parametrize("bounds", [1, 1 << 30], ids=["in parts", "at once"])
def test_each_way_of_attention_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, way: str, bounds: int
) -> None:
    """Device and size choose among them; here all three get the same grids of positions."""
    for name in ("BIAS_BYTES", "WINDOWS_BYTES"):
        monkeypatch.setattr(image_attention, name, bounds)
    monkeypatch.setattr(image_attention, "ROWS_AT_ONCE", min(bounds, 5))
    torch.manual_seed(0)
    side, width = 5, 8
    q, k, v = torch.randn(3, 2, 2, side * side, width)
    along_y, along_x = torch.randn(2, 2, 2, side, side, side)
    bias = along_y[..., :, None] + along_x[..., None, :]
    products = q @ k.transpose(2, 3) * width**-0.5
    expected = (products + bias.reshape(products.shape)).softmax(-1) @ v
    scaled = k if way == "_fused" else k * width**-0.5
    with torch.inference_mode():
        actual = getattr(image_attention, way)(q, scaled, v, along_y, along_x)
    torch.testing.assert_close(actual, expected, atol=TOLERANCE, rtol=TOLERANCE)
