"""Encodings keep every pixel, and boxes have the official generator's measure."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from serving.sam.machine.torchvision_ops import ensure_torchvision_ops
from serving.sam.masks import decode_mask, encode_mask, in_output_mode, mask_area, mask_box_xywh

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24))


@settings(deadline=None)
@given(MASKS)
def test_encode_mask_decodes_to_the_same_pixels(mask: NDArray[np.bool_]) -> None:
    rle = encode_mask(mask)
    assert rle["size"] == list(mask.shape)
    assert (decode_mask(rle) == mask).all()
    assert mask_area(rle) == mask.sum()


@settings(deadline=None)
@given(MASKS)
def test_mask_box_xywh_equals_the_official_measure(mask: NDArray[np.bool_]) -> None:
    ensure_torchvision_ops()
    from segment_anything.utils.amg import batched_mask_to_box, box_xyxy_to_xywh

    official = box_xyxy_to_xywh(batched_mask_to_box(torch.from_numpy(mask)[None])[0])
    assert mask_box_xywh(mask) == official.tolist()


@settings(deadline=None)
@given(MASKS)
def test_uncompressed_runs_are_the_official_ones(mask: NDArray[np.bool_]) -> None:
    ensure_torchvision_ops()
    from segment_anything.utils.amg import mask_to_rle_pytorch

    (record,) = in_output_mode([{"segmentation": encode_mask(mask)}], "uncompressed_rle")
    assert record["segmentation"] == mask_to_rle_pytorch(torch.from_numpy(mask)[None])[0]


def test_encode_mask_is_plain_json_text() -> None:
    rle = encode_mask(np.eye(3, dtype=bool))
    assert isinstance(rle["counts"], str)
    assert rle["counts"].isascii()
