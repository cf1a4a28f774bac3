"""Encodings keep every pixel, and boxes have the official generator's measure."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from serving.sam.machine.torchvision_ops import ensure_torchvision_ops
from serving.sam.masks import (
    decode_mask,
    encode_mask,
    encode_parts,
    in_output_mode,
    mask_area,
    mask_box_xywh,
    runs_of_part,
)

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=24))


@settings(deadline=None)
@given(MASKS)
def test_encode_mask_decodes_to_the_same_pixels(mask: NDArray[np.bool_]) -> None:
    rle = encode_mask(mask)
    assert rle["size"] == list(mask.shape)
    assert (decode_mask(rle) == mask).all()
    assert mask_area(rle) == mask.sum()


@settings(deadline=None)
@given(MASKS, st.tuples(*[st.integers(0, 3)] * 4), st.integers(1, 5))
def test_a_mask_encoded_in_parts_is_the_whole_mask_encoded(
    mask: NDArray[np.bool_], around: tuple[int, int, int, int], width: int
) -> None:
    """Also where runs go on from one column, or one part, to the next."""
    left, top, right, bottom = around
    whole = np.pad(mask, ((top, bottom), (left, right)))
    columns = mask.T
    parts = [
        runs_of_part(columns[start : start + width], left + start, top, len(whole))
        for start in range(0, len(columns), width)
    ]
    assert encode_parts(parts, whole.shape) == encode_mask(whole)


def test_no_part_is_an_empty_mask() -> None:
    assert encode_parts([], (3, 5)) == encode_mask(np.zeros((3, 5), bool))


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
