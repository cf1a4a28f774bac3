"""The embedded checkpoint is as good as its model card says, on a picture it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.training.evaluate import (
    coin_masks,
    coloured_object,
    evaluate_coins,
    evaluate_scenes,
    iou,
)
from serving.sam.engine import Engine


def test_embedded_checkpoint_on_coins(engine: Engine) -> None:
    """The figures of the model card, with a little room for another machine's arithmetic."""
    figures = evaluate_coins(engine)
    assert figures["coins"] == 24
    assert figures["point"] >= 0.89
    assert figures["box"] >= 0.92
    assert figures["automatic_found"] >= 23
    assert figures["automatic_false"] <= 4


def test_embedded_checkpoint_on_held_out_scenes(engine: Engine) -> None:
    """Shapes only, on held-out photographs: the cut-outs are no dependency of the tests."""
    figures = evaluate_scenes(engine, None, 6)
    assert figures["point"] >= 0.55
    assert figures["box"] >= 0.69


def test_coin_masks_are_the_24_coins() -> None:
    from skimage import data

    masks = coin_masks(data.coins())
    assert len(masks) == 24
    assert not np.logical_and.reduce(masks[:2]).any()


def test_coloured_object_is_the_thing_on_the_light_ground() -> None:
    image = np.full((60, 80, 3), 240, np.uint8)
    image[20:50, 30:60] = (200, 40, 30)
    image[30:40, 40:50] = 250  # a highlight is part of it
    image[5:8, 5:8] = (30, 30, 200)  # a speck is not
    expected = np.zeros((60, 80), bool)
    expected[20:50, 30:60] = True
    assert iou(coloured_object(image), expected) > 0.95


@pytest.mark.parametrize(("first", "second", "expected"), [(0, 0, 1.0), (0, 1, 0.0)])
def test_iou_of_equal_and_disjoint_masks(first: int, second: int, expected: float) -> None:
    masks = np.zeros((2, 4, 4), bool)
    masks[0, :2] = True
    masks[1, 2:] = True
    assert iou(masks[first], masks[second]) == expected
