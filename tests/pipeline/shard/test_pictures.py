"""Pictures show the masks where they are, and stay small."""

import re
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.shard.pictures import (
    OVERLAY_SIDE,
    SEGMENT_SIDE,
    draw_overlay,
    draw_segments,
    encode_png,
    fit_inside,
    mask_colour,
    outline_paths,
)
from serving.sam.images import RgbImage, decode_image
from serving.sam.masks import MaskRecord, encode_mask


def record(height: int, width: int, rows: slice, columns: slice) -> MaskRecord:
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return MaskRecord(segmentation=encode_mask(mask), area=int(mask.sum()))


@pytest.fixture
def grey() -> RgbImage:
    return np.full((60, 80, 3), 100, np.uint8)


def test_draw_overlay_colours_masks_and_nothing_else(grey: RgbImage) -> None:
    records = [record(60, 80, slice(10, 30), slice(10, 40))]
    drawn = draw_overlay(grey, records)
    inside, outside = drawn[20, 25], drawn[50, 70]
    assert (outside == 100).all()
    assert inside.tolist() == [(100 + channel) // 2 for channel in mask_colour(0)]
    assert (grey == 100).all(), "the image handed in is not drawn upon"


def test_draw_overlay_small_masks_stay_visible_on_large_ones(grey: RgbImage) -> None:
    small = record(60, 80, slice(20, 40), slice(20, 40))
    large = record(60, 80, slice(0, 60), slice(0, 80))
    for records in ([small, large], [large, small]):
        drawn = draw_overlay(grey, records)
        assert drawn[30, 30].tolist() != drawn[50, 60].tolist()


def test_draw_overlay_marks_points_and_box_of_a_prompt(grey: RgbImage) -> None:
    asked = record(60, 80, slice(0, 1), slice(0, 1))
    asked["prompt"] = {"points": [[20, 30], [60, 30]], "labels": [1, 0], "box": [10, 5, 70, 50]}
    drawn = draw_overlay(grey, [asked]).astype(int)
    green, red = drawn[30, 20], drawn[30, 60]
    assert green[1] > green[0] + 50
    assert red[0] > red[1] + 50
    assert (drawn[5, 40] != 100).any()


def test_draw_segments_gives_the_image_then_at_most_so_many(grey: RgbImage) -> None:
    records = [record(60, 80, slice(n, n + 20), slice(10, 40)) for n in range(5)]
    pictures = list(draw_segments(grey, records, 3))
    assert len(pictures) == 4
    assert (pictures[0] == grey).all()
    assert (pictures[1][50, 70] > 150).all(), "what is not the segment is faded"


@pytest.mark.parametrize(("height", "width"), [(3000, 200), (40, 5000), (1, 1)])
def test_pictures_are_bounded_in_size(height: int, width: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)
    records = [record(height, width, slice(0, height), slice(0, width))]
    assert max(draw_overlay(image, records).shape) <= OVERLAY_SIDE
    assert all(max(p.shape) <= SEGMENT_SIDE for p in draw_segments(image, records, 1))
    assert min(fit_inside(image, 100).shape[:2]) >= 1


def test_a_scaled_mask_is_where_it_was() -> None:
    """A corner that lies neither in the middle nor alike after a turn."""
    image = np.full((1700, 2400, 3), 100, np.uint8)
    drawn = draw_overlay(image, [record(1700, 2400, slice(100, 300), slice(1500, 2300))])
    rows, columns = np.nonzero((drawn != 100).any(axis=2))
    scale = OVERLAY_SIDE / 2400
    found = [rows.min(), rows.max() + 1, columns.min(), columns.max() + 1]
    assert found == pytest.approx([side * scale for side in (100, 300, 1500, 2300)], abs=4)


@pytest.mark.parametrize(("height", "width"), [(1500, 2000), (907, 1009), (300, 400)])
def test_only_the_part_that_a_mask_lies_in_is_scaled_and_drawn(
    height: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And every pixel is the one that scaling the whole mask gives."""
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width]
    masks = [(x - cx) ** 2 + (y - cy) ** 2 < 60**2 for cx, cy in ((20, 30), (width - 1, 200))]
    masks += [np.zeros((height, width), bool), np.ones((height, width), bool)]
    records = [MaskRecord(segmentation=encode_mask(m), area=int(m.sum())) for m in masks]

    def drawn(which: list[MaskRecord]) -> tuple[list[bytes], list[str]]:
        pictures = [draw_overlay(image, which), *draw_segments(image, which, 9)]
        return [p.tobytes() for p in pictures], outline_paths(image, which, 9)[1]

    scaled: list[int] = []
    resize: Any = cv2.resize

    def counted(picture: RgbImage, *args: Any, **options: Any) -> RgbImage:
        scaled.append(picture.shape[0] * picture.shape[1])
        return np.asarray(resize(picture, *args, **options))

    with monkeypatch.context() as patch:
        patch.setattr(cv2, "resize", counted)
        drawn(records[:2])
    whole = len([side for side in (OVERLAY_SIDE, SEGMENT_SIDE, 400) if side < width])
    if (height, width) == (1500, 2000):
        assert sum(scaled) < (whole + 0.2) * height * width  # the image, and little parts of it
    parts = drawn(records)
    monkeypatch.setattr("pipeline.shard.pictures.mask_extent", lambda _rle: (0, 0, width, height))
    assert drawn(records) == parts


def test_encode_png_keeps_every_pixel(grey: RgbImage) -> None:
    assert (decode_image(encode_png(grey), "x") == grey).all()


def test_mask_colour_first_colours_differ() -> None:
    assert len({mask_colour(number) for number in range(100)}) == 100


def test_outlines_cover_what_their_masks_cover() -> None:
    """A ring, larger than the frame of the paths: outline and hole, drawn by the even-odd rule."""
    image = np.zeros((800, 1000, 3), dtype=np.uint8)
    y, x = np.mgrid[:800, :1000]
    distance = np.hypot(y - 400, x - 500)
    ring = (distance < 300) & (distance > 120)
    record = MaskRecord(segmentation=encode_mask(ring), area=int(ring.sum()))
    (width, height), (path,) = outline_paths(image, [record], 5)
    assert (width, height) == (400, 320)
    drawn = np.zeros((height, width), dtype=np.uint8)
    pieces = [
        np.array(re.findall(r"-?\d+", piece), int).reshape(-1, 2) for piece in path.split("M")[1:]
    ]
    cv2.fillPoly(drawn, pieces, 1)  # even-odd, as the page says
    expected = cv2.resize(ring.astype(np.uint8), (width, height), interpolation=cv2.INTER_AREA) > 0
    covered = drawn.astype(bool)
    assert (covered & expected).sum() / (covered | expected).sum() > 0.97
