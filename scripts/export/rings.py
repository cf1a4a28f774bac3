"""Masks as polygons: exact ones along the pixels' edges, and simple ones that people can edit.

A ring is a closed line of (x, y) vertices, the first one not repeated. Two frames are in use:

- edges: a pixel (x, y) reaches from x to x + 1, so that a polygon has the mask's area. That is the
  frame of COCO's polygons, whose rasteriser gives the mask back bit by bit, and of geodata;
- centres: a pixel (x, y) is the point (x, y), as in OpenCV, whose ``fillPoly`` draws the border
  too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Ring = NDArray[np.float64]  # (N, 2), XY
_MEETS = 0.99  # IoU of a simplified outline with its mask, at least
_TOLERANCES_PX = (1.5, 1.0, 0.5)


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """One connected piece of a mask: its outer ring, and the rings of its holes.

    In pixels, with y down, outer rings run clockwise to the eye and holes the other way.
    """

    outer: Ring
    holes: tuple[Ring, ...] = ()


def exact_pieces(mask: NDArray[np.bool_]) -> list[Piece]:
    """The pieces of a mask along its pixels' edges; pixels that touch at a corner only are apart.

    Args:
        mask: (H, W) bool.
    """
    if not mask.any():
        return []
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(ys[0]), int(xs[0])
    part = np.pad(mask[top : ys[-1] + 1, left : xs[-1] + 1], 1).astype(np.uint8)
    _, labels = cv2.connectedComponents(part, connectivity=4)
    outers: dict[int, Ring] = {}
    holes: dict[int, list[Ring]] = {}
    for ring in _corner_rings(part):
        x, y = min((tuple(vertex) for vertex in ring), key=lambda vertex: (vertex[1], vertex[0]))
        moved: Ring = ring + np.array([left - 1.0, top - 1.0])
        if part[y, x]:  # the pixel right below the ring's highest corner is inside
            outers[int(labels[y, x])] = _turned(moved, clockwise=True)
        else:
            holes.setdefault(int(labels[y - 1, x]), []).append(_turned(moved, clockwise=False))
    return [Piece(outer, tuple(holes.get(label, ()))) for label, outer in outers.items()]


def _corner_rings(part: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
    """The closed lines between inside and outside of a mask whose border is outside.

    A corner is where a line turns. Along a row the corners pair up as the ends of horizontal edges,
    along a column as those of vertical ones; the lines follow by taking the two in turn.
    """
    north_west, north_east = part[:-1, :-1], part[:-1, 1:]
    south_west, south_east = part[1:, :-1], part[1:, 1:]
    saddle = (north_west == south_east) & (north_east == south_west) & (north_west != north_east)
    odd = (north_west ^ north_east ^ south_west ^ south_east).astype(bool)
    ys, xs = np.nonzero(odd | saddle)
    twice = saddle[ys, xs]
    falling = north_west[ys, xs].astype(bool)  # of a saddle: inside is north-west and south-east
    count = np.where(twice, 2, 1)
    x, y = np.repeat(xs, count) + 1, np.repeat(ys, count) + 1
    second = np.zeros(len(x), dtype=np.int64)
    second[1:] = (x[1:] == x[:-1]) & (y[1:] == y[:-1])
    # Of a saddle's two corners, the first ends the edge from the left. It turns up where the pixel
    # north-west is inside, else down, so that the two pixels stay apart.
    below = np.where(np.repeat(falling, count), second, 1 - second)
    by_row = np.lexsort((second, x, y))
    by_column = np.lexsort((below, y, x))
    along_row, along_column = np.empty_like(x), np.empty_like(x)
    along_row[by_row[::2]], along_row[by_row[1::2]] = by_row[1::2], by_row[::2]
    along_column[by_column[::2]], along_column[by_column[1::2]] = by_column[1::2], by_column[::2]
    rows, columns = along_row.tolist(), along_column.tolist()
    seen = [False] * len(rows)
    rings = []
    for start in range(len(rows)):
        if seen[start]:
            continue
        line, corner = [], start
        while not seen[corner]:
            other = rows[corner]
            seen[corner] = seen[other] = True
            line += [corner, other]
            corner = columns[other]
        rings.append(np.stack([x[line], y[line]], axis=1))
    return rings


def _turned(ring: Ring, *, clockwise: bool) -> Ring:
    x, y = ring[:, 0], ring[:, 1]
    area = float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))
    return ring if (area > 0) == clockwise else ring[::-1]


def joined(rings: Sequence[Ring]) -> Ring:
    """Several rings as one, by way of lines that run there and back and so enclose nothing.

    This is how a format of single polygons keeps holes, and a mask of several pieces.
    """
    whole = rings[0]
    for ring in rings[1:]:
        distances = ((whole[:, None] - ring[None]) ** 2).sum(axis=2)
        here, there = np.unravel_index(int(distances.argmin()), distances.shape)
        detour = np.concatenate([np.roll(ring, -there, axis=0), ring[there : there + 1]])
        whole = np.concatenate([whole[: here + 1], detour, whole[here:]])
    return whole


def all_rings(pieces: Sequence[Piece]) -> list[Ring]:
    """Every ring of a mask, outer ones and holes."""
    return [ring for piece in pieces for ring in (piece.outer, *piece.holes)]


def simple_outline(mask: NDArray[np.bool_]) -> Ring:
    """One ring in the frame of the pixels' edges, with few vertices and an IoU of 0.99 at least.

    Args:
        mask: (H, W) bool, not empty.
    """
    height, width = mask.shape
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))

    def fits(ring: Ring) -> bool:
        drawn = coco_mask.merge(coco_mask.frPyObjects([ring.ravel().tolist()], height, width))
        return float(coco_mask.iou([drawn], [rle], [0])[0, 0]) >= _MEETS

    return _simplest(all_rings(exact_pieces(mask)), fits)


def centre_outline(mask: NDArray[np.bool_]) -> Ring:
    """One ring in the frame of the pixels' centres, of which ``cv2.fillPoly`` makes the mask again.

    Args:
        mask: (H, W) bool, not empty.
    """
    drawn = np.zeros(mask.shape, np.uint8)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)

    def fits(ring: Ring) -> bool:
        drawn[:] = 0
        cv2.fillPoly(drawn, [ring.astype(np.int32)], 1)
        shown = drawn.astype(bool)
        return float((shown & mask).sum()) >= _MEETS * float((shown | mask).sum())

    return _simplest([contour[:, 0].astype(np.float64) for contour in contours], fits)


def _simplest(rings: Sequence[Ring], fits: Callable[[Ring], bool]) -> Ring:
    for tolerance in _TOLERANCES_PX:
        simple = [
            cv2.approxPolyDP(ring.astype(np.float32), tolerance, closed=True)[:, 0]
            for ring in rings
        ]
        ring = joined([ring.astype(np.float64) for ring in simple if len(ring) > 2] or rings[:1])
        if fits(ring):
            return _at_least_three(ring)
    return _at_least_three(joined(rings))


def _at_least_three(ring: Ring) -> Ring:
    return ring if len(ring) > 2 else np.concatenate([ring, ring[-1:], ring[-1:]])[:3]
