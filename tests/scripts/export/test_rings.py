"""Outlines give the mask back: exactly along pixels' edges, nearly where they are simplified."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco_mask

from scripts.export.rings import (
    Ring,
    all_rings,
    centre_outline,
    exact_pieces,
    joined,
    simple_outline,
)
from tests.scripts.export.outputs import Mask, hard_masks


def drawn(rings: list[Ring], shape: tuple[int, int]) -> Mask:
    polygons = [ring.ravel().tolist() for ring in rings]
    return np.asarray(
        coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *shape))), bool
    )


def area(ring: Ring) -> float:
    x, y = ring[:, 0], ring[:, 1]
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / (one | other).sum())


@given(arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_exact_pieces_of_any_mask_give_it_back(mask: Mask) -> None:
    pieces = exact_pieces(mask)
    assert sum(area(ring) for ring in all_rings(pieces)) == mask.sum()  # holes count less
    count, _ = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
    assert len(pieces) == count - 1
    if pieces:
        joined_pieces = [joined((piece.outer, *piece.holes)) for piece in pieces]
        assert (drawn(joined_pieces, mask.shape) == mask).all()
        assert (drawn([joined(all_rings(pieces))], mask.shape) == mask).all()


def test_exact_pieces_hole_belongs_to_its_piece() -> None:
    mask = np.zeros((20, 40), bool)
    mask[2:18, 2:18] = mask[2:18, 22:38] = True
    mask[5:8, 25:28] = False
    left, right = sorted(exact_pieces(mask), key=lambda piece: piece.outer[:, 0].min())
    assert (len(left.holes), len(right.holes)) == (0, 1)
    assert area(right.holes[0]) == -9


@pytest.mark.parametrize("name", list(hard_masks()))
def test_simple_outlines_have_few_vertices_and_nearly_the_mask(name: str) -> None:
    mask = hard_masks()[name]
    simple = simple_outline(mask)
    assert iou(drawn([simple], mask.shape), mask) >= 0.99
    assert len(simple) <= max(len(joined(all_rings(exact_pieces(mask)))), 4)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.fillPoly(filled, [centre_outline(mask).astype(np.int32)], 1)
    assert iou(filled.astype(bool), mask) >= 0.97  # the line between two pieces is drawn
