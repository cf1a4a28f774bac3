"""Each way of computing attention with relative positions gives the plain one's result."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from serving.sam.layers import image_attention
from tests.stand_ins.pretend_gpu import PretendGpu

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


@pytest.mark.parametrize(("rows", "launches"), [(7, 1), (4, 2)])
def test_a_gpu_makes_as_much_of_the_bias_at_once_as_its_memory_has_room_for(
    gpu: PretendGpu, monkeypatch: pytest.MonkeyPatch, rows: int, launches: int
) -> None:
    """And of rows that begin where its attention wants them: nothing is copied."""
    monkeypatch.setattr(image_attention, "BIAS_BYTES", 1)
    a_row = 2 * 4 * 7 * 49 * 4  # of the grid: windows, heads, its positions, all positions, float32
    properties = SimpleNamespace(total_memory=rows * a_row * image_attention.BIAS_PART)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    side, width = 7, 8  # 49 positions: rows of 49 numbers would have to be copied
    torch.manual_seed(0)
    on_host = [*torch.randn(3, 2, 4, side * side, width), *torch.randn(2, side, side, width)]
    expected = image_attention.attend(*on_host)
    values = [value.to("cuda:0") for value in on_host]
    gpu.reset()
    actual = image_attention.attend(*values)
    assert gpu.kernels["attention"] == launches
    assert not gpu.kernels["attention's padded bias"]
    torch.testing.assert_close(actual.cpu(), expected, atol=TOLERANCE, rtol=TOLERANCE)
