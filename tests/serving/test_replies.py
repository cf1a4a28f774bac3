"""Masks in the form that the client asked for."""

from __future__ import annotations

import numpy as np

from serving.replies import mask_polygons


def test_polygons_follow_the_pixels_edges() -> None:
    mask = np.zeros((20, 30), bool)
    mask[3:9, 4:15] = True
    mask[12, 20] = True
    single, block = sorted(mask_polygons(mask), key=lambda polygon: -polygon[0])
    assert set(zip(block[::2], block[1::2], strict=True)) == {(4, 3), (15, 3), (15, 9), (4, 9)}
    assert set(zip(single[::2], single[1::2], strict=True)) == {
        (20, 12), (21, 12), (21, 13), (20, 13),
    }  # fmt: skip
