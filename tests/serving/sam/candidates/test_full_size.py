"""Masks one by one, as on a CPU, and together, as on a GPU, are the same masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serving.sam.candidates.full_size import full_size_masks
from serving.sam.candidates.masks_one_by_one import MasksOneByOne
from serving.sam.candidates.masks_together import MasksTogether
from serving.sam.candidates.upsampling import Upsampling
from serving.sam.errors import NotFiniteError
from serving.sam.masks import Rle, decode_mask
from tests.stand_ins.pretend_gpu import PretendGpu

SIDE, CELLS = 256, 64
# The products of one mask and of many may round otherwise, so a pixel may lie on the threshold.
PIXELS = 2


def low_masks() -> torch.Tensor:
    """(9, 64, 64) logits: blobs, one in a corner, one everywhere, one nowhere, one pixel."""
    torch.manual_seed(0)
    noise = torch.randn(9, 1, 8, 8)
    masks = torch.nn.functional.interpolate(noise, (CELLS, CELLS), mode="bicubic")[:, 0] * 6
    masks[5] = -20
    masks[5, :9, :9] = 8
    masks[6], masks[7], masks[8] = 9, -9, -9
    masks[8, 30, 12] = 9
    return masks


def to_size(height: int, width: int, device: str = "cpu") -> Upsampling:
    scale = SIDE / max(height, width)
    kept = int(height * scale + 0.5), int(width * scale + 0.5)
    return Upsampling.of(CELLS, SIDE, kept, (height, width), torch.device(device))


@pytest.fixture(params=[(171, 256), (256, 40), (333, 500)], ids=str)
def upsampling(request: pytest.FixtureRequest) -> Upsampling:
    return to_size(*request.param)


def assert_alike(one: Rle, other: Rle) -> None:
    assert one["size"] == other["size"]
    first, second = decode_mask(one), decode_mask(other)
    assert (first != second).sum() <= PIXELS
    if (first == second).all():
        assert one == other  # the same runs have one encoding


@pytest.mark.parametrize("at_once", [1 << 27, 400_000, 1], ids=["all", "some", "each"])
def test_together_they_are_what_they_are_one_by_one(
    upsampling: Upsampling, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    for limit in ("MEASURED_PX", "DRAWN_PX"):
        monkeypatch.setattr(f"serving.sam.candidates.masks_together.{limit}", at_once)
    height, width = upsampling.size_hw
    place = (7, 11), (height + 30, width + 20)  # a crop of a larger image
    alone, together = MasksOneByOne(upsampling, *place), MasksTogether(upsampling, *place)
    logits = low_masks()
    expected, found = (m.measure_and_encode(logits, 0.0, 1.0) for m in (alone, together))
    for (measured, encoded), (other, also) in zip(expected, found, strict=True):
        assert np.abs(np.subtract(measured.box_xyxy, other.box_xyxy)).max() <= 1
        assert abs(measured.inner - other.inner) <= PIXELS
        assert abs(measured.outer - other.outer) <= PIXELS
        assert_alike(encoded, also)
    assert sum(m.inner > 0 for m, _ in expected) >= 6
    for kind in (alone, together):
        for (_, encoded), again in zip(expected, kind.encode(logits.unbind(), 0.0), strict=True):
            assert_alike(encoded, again)
    prompts = list(logits.unflatten(0, (3, 3)))
    bitmaps = [np.concatenate(list(kind.draw(prompts, 0.0))) for kind in (alone, together)]
    assert bitmaps[0].shape == (9, height, width)
    assert bitmaps[1].dtype == np.bool_
    assert (bitmaps[0] != bitmaps[1]).sum() <= 9 * PIXELS
    for bitmap, (_, encoded) in zip(bitmaps[0], expected, strict=True):
        whole = decode_mask(encoded)
        assert (whole[11 : 11 + height, 7 : 7 + width] == bitmap).all()
        assert whole.sum() == bitmap.sum()


@pytest.mark.parametrize("kind", [MasksOneByOne, MasksTogether])
def test_masks_that_are_no_numbers_are_refused(
    upsampling: Upsampling, kind: type[MasksOneByOne | MasksTogether]
) -> None:
    logits = low_masks()
    logits[4, 3, 3] = float("nan")
    with pytest.raises(NotFiniteError, match="masks are not finite"):
        kind(upsampling).measure(logits, 0.0, 1.0)


def test_a_gpu_makes_any_number_of_masks_with_the_same_launches_and_waits(
    gpu: PretendGpu,
) -> None:
    masks = full_size_masks(to_size(171, 256, "cuda:0"))
    assert isinstance(masks, MasksTogether)
    counts = []
    for number in (2, 9):
        logits = low_masks()[-number:].to("cuda:0")
        gpu.reset()
        masks.measure(logits, 0.0, 1.0)
        measured = gpu.kernels.total(), gpu.waits.total()
        gpu.reset()
        masks.encode(logits.unbind(), 0.0)
        counts.append((*measured, gpu.kernels.total(), gpu.waits.total()))
    assert counts[0] == counts[1]
    assert counts[0][0] <= 38
    assert counts[0][1] == 1
    assert counts[0][2] <= 20
    assert counts[0][3] == 2  # how many runs there are, and the runs


def test_masks_of_small_crops_take_no_more_memory_than_those_of_the_image(
    gpu: PretendGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are encoded in the image's frame: a hundred of them may be gigabytes."""
    monkeypatch.setattr("serving.sam.candidates.masks_together.MEASURED_PX", 3 * 171 * 256 * 9)
    masks = MasksTogether(to_size(171, 256, "cuda:0"), (256, 171), (171 * 3, 256 * 3))
    logits = low_masks().to("cuda:0")
    gpu.reset()
    masks.encode(logits.unbind(), 0.0)
    assert gpu.kernels["nonzero"] == 3
    gpu.reset()
    masks.measure(logits, 0.0, 1.0)
    assert gpu.waits.total() == 1
