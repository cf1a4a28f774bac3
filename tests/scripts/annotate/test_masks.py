"""Masks that come from outside: run lengths that may be anything, and strokes of a brush."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scripts.annotate.errors import AnnotateError
from scripts.annotate.masks import Stroke, checked_rle, paint, parse_strokes
from serving.sam.errors import PromptError
from serving.sam.masks import decode_mask, encode_mask


def test_every_encoding_of_pycocotools_passes() -> None:
    random = np.random.default_rng(7)
    for shape in ((1, 1), (7, 5), (240, 320), (500, 3)):
        for share in (0.0, 0.02, 0.5, 1.0):
            mask = random.random(shape) < share
            rle = checked_rle(dict(encode_mask(mask)), *shape)
            assert (decode_mask(rle) == mask).all()


@pytest.mark.parametrize(
    "value",
    [
        None,
        {"size": [4, 4]},
        {"size": [4, 4], "counts": [16]},
        {"size": [4, 5], "counts": "P1"},
        {"size": [4, 4], "counts": "P1é"},
        {"size": [4, 4], "counts": "oooooooooooooooo"},
        {"size": [4, 4], "counts": "Po"},
        {"size": [4, 4], "counts": "0" * 40},
        {"size": [4, 4], "counts": "Pooooooo1"},
        {"size": [4, 4], "counts": "Q1"},
        {"size": [4, 4], "counts": "\x00"},
    ],
)
def test_runs_that_do_not_fill_the_image_are_refused(value: Any) -> None:
    with pytest.raises(AnnotateError, match="segmentation"):
        checked_rle(value, 4, 4)


def test_strokes_add_and_remove_in_order() -> None:
    mask = np.zeros((40, 60), np.bool_)
    line = Stroke("add", 3, ((10, 20), (50, 20)))
    painted = paint(mask, [line])
    assert not mask.any()
    assert painted[20, 10:50].all() and painted[18, 30] and not painted[26, 30]
    erased = paint(painted, [Stroke("remove", 4, ((30, 20),))])
    assert not erased[20, 30] and erased[20, 12]
    assert paint(erased, [line])[20, 30]


def test_one_dab_of_the_smallest_brush_is_a_pixel() -> None:
    painted = paint(np.zeros((9, 9), np.bool_), [Stroke("add", 0.5, ((4.5, 4.5),))])
    assert painted[4, 4] and painted.sum() <= 5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "a list"),
        ([1], r"strokes\[0\]"),
        ([{"mode": "add", "radius": 0, "points": [[1, 1]]}], "radius"),
        ([{"mode": "add", "radius": True, "points": [[1, 1]]}], "radius"),
        ([{"mode": "add", "radius": 2, "points": []}], "points"),
        ([{"mode": "add", "radius": 2, "points": [[1, float("nan")]]}], "points"),
    ],
)
def test_strokes_of_another_form_are_refused(value: Any, message: str) -> None:
    with pytest.raises((AnnotateError, PromptError), match=message):
        parse_strokes(value)
