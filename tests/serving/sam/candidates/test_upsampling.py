"""Composed, region by region, the resizing is the official two steps over the whole image."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.sam.candidates.upsampling import Region, Upsampling
from serving.sam.engine import Engine

SIDE, CELLS = 256, 128


def input_size(height: int, width: int) -> tuple[int, int]:
    """The size in the network's frame, as ``ResizeLongestSide`` rounds it."""
    scale = SIDE / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def whole(upsampling: Upsampling, logits: torch.Tensor, region: Region) -> torch.Tensor:
    """The strips of a region, put together: (rows, columns)."""
    strips = list(upsampling.strips(logits, region))
    assert [start for start, _ in strips] == sorted(start for start, _ in strips)
    assert strips[0][0] == region[1]
    return torch.cat([strip for _, strip in strips]).T


@settings(max_examples=25, deadline=None)
@given(height=st.integers(16, 700), width=st.integers(16, 700), seed=st.integers(0, 99))
def test_region_equals_the_official_resizing(height: int, width: int, seed: int) -> None:
    """Any size and aspect: logits of a region are the official ones, and nothing lies outside."""
    torch.manual_seed(seed)
    logits = torch.full((1, CELLS, CELLS), -4.0)
    top, left = (int(value) for value in torch.randint(0, CELLS - 12, (2,)))
    logits[0, top : top + 12, left : left + 12] = torch.randn(12, 12) * 4
    kept = input_size(height, width)
    upsampling = Upsampling.of(CELLS, SIDE, kept, (height, width))
    scaled = torch.nn.functional.interpolate(
        logits[None], (SIDE, SIDE), mode="bilinear", align_corners=False
    )[..., : kept[0], : kept[1]]
    expected = torch.nn.functional.interpolate(
        scaled, (height, width), mode="bilinear", align_corners=False
    )[0, 0]
    (region,) = upsampling.regions(logits, -1.0)
    if region is None:
        assert not (expected > -1.0).any()
        return
    y0, x0, y1, x1 = region
    upsampled = whole(upsampling, logits[0], region)
    torch.testing.assert_close(upsampled, expected[y0:y1, x0:x1], atol=1e-4, rtol=1e-4)
    outside = expected.clone()
    outside[y0:y1, x0:x1] = -9
    assert not (outside > -1.0 + 1e-4).any()


@pytest.mark.parametrize("size_hw", [(171, 256), (256, 40), (700, 300), (33, 1000)])
def test_whole_region_equals_postprocess_masks(engine: Engine, size_hw: tuple[int, int]) -> None:
    sam = engine.checkpoint.sam
    torch.manual_seed(1)
    logits = torch.randn(1, 1, CELLS, CELLS)
    kept = input_size(*size_hw)
    expected = sam.postprocess_masks(logits, kept, size_hw)[0, 0]
    upsampling = Upsampling.of(CELLS, SIDE, kept, size_hw)
    upsampled = whole(upsampling, logits[0, 0], (0, 0, *size_hw))
    torch.testing.assert_close(upsampled, expected, atol=1e-4, rtol=1e-4)


def test_mask_below_the_threshold_has_no_region() -> None:
    upsampling = Upsampling.of(CELLS, SIDE, (256, 128), (512, 256))
    logits = torch.full((2, CELLS, CELLS), -5.0)
    logits[1, :, 100:] = 5.0  # only in the padding
    assert upsampling.regions(logits, 0.0) == [None, None]
