"""Outlines for the synthetic scenes: each returns an antialiased coverage mask of one object."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Coverage = NDArray[np.uint8]  # (side, side), 0 outside, 255 inside
_SHIFT = 4  # sub-pixel bits that cv2.fillPoly takes


def _filled(side: int, *polygons: NDArray[np.float64]) -> Coverage:
    canvas = np.zeros((side, side), np.uint8)
    points = [np.round(polygon * (1 << _SHIFT)).astype(np.int32) for polygon in polygons]
    cv2.fillPoly(canvas, points, 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    return canvas


def _turned(points: NDArray[np.float64], angle: float, side: int) -> NDArray[np.float64]:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.asarray(points @ np.array([[cosine, sine], [-sine, cosine]]) + side / 2)


def _circle_points(radius_x: float, radius_y: float, count: int = 48) -> NDArray[np.float64]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([np.cos(angles) * radius_x, np.sin(angles) * radius_y], axis=1)


def ellipse(rng: np.random.Generator, side: int) -> Coverage:
    """A circle, or an ellipse no thinner than 1:3."""
    longest = side * 0.48
    other = longest if rng.random() < 0.4 else longest * rng.uniform(0.35, 1)
    return _filled(side, _turned(_circle_points(longest, other), rng.uniform(0, np.pi), side))


def bar(rng: np.random.Generator, side: int) -> Coverage:
    """A box or a long bar; some have a pointed or a rounded end."""
    half = side * 0.46
    thin = half * (rng.uniform(0.06, 0.3) if rng.random() < 0.6 else rng.uniform(0.3, 1))
    points = [[-half, -thin], [half, -thin], [half, thin], [-half, thin]]
    if rng.random() < 0.3:
        points[2:2] = [[min(half + thin, side * 0.6), 0.0]]
    angle = rng.choice([0, np.pi / 2]) if rng.random() < 0.4 else rng.uniform(0, np.pi)
    return _filled(side, _turned(np.array(points), angle, side))


def polygon(rng: np.random.Generator, side: int) -> Coverage:
    """A regular, an irregular or a star-shaped polygon."""
    count = int(rng.integers(3, 9))
    radii = np.full(count, side * 0.48)
    if rng.random() < 0.5:
        radii *= rng.uniform(0.45, 1, count)
    elif count > 4 and rng.random() < 0.5:
        count *= 2
        radii = np.where(np.arange(count) % 2, side * rng.uniform(0.2, 0.35), side * 0.48)
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, np.pi)
    points = np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)
    return _filled(side, points + side / 2)


def blob(rng: np.random.Generator, side: int) -> Coverage:
    """A smooth closed curve: a circle whose radius carries a few random waves."""
    angles = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(2, 7):
        radius += rng.normal(0, 0.35 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    radius = np.clip(radius, 0.25, None)
    radius *= side * 0.48 / radius.max()
    stretch = rng.uniform(0.5, 1)
    points = np.stack([np.cos(angles) * radius, np.sin(angles) * radius * stretch], axis=1)
    return _filled(side, _turned(points, rng.uniform(0, np.pi), side))


def ring(rng: np.random.Generator, side: int) -> Coverage:
    """An annulus, sometimes oval."""
    outer, inner = side * 0.48, side * 0.48 * rng.uniform(0.45, 0.8)
    squash, angle = rng.uniform(0.6, 1), rng.uniform(0, np.pi)
    return _filled(
        side,
        _turned(_circle_points(outer, outer * squash), angle, side),
        _turned(_circle_points(inner, inner * squash), angle, side),
    )


def glyph(rng: np.random.Generator, side: int) -> Coverage:
    """One thick character of a stroke font."""
    letters = "ABCDEFGHJKLMNPQRSTUVXYZ234567890&%?"
    letter = letters[rng.integers(len(letters))]
    font = int(rng.choice([cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX]))
    scale = side / 34
    thickness = max(2, int(side * rng.uniform(0.05, 0.13)))
    (width, height), _ = cv2.getTextSize(letter, font, scale, thickness)
    canvas = np.zeros((side, side), np.uint8)
    origin = ((side - width) // 2, (side + height) // 2)
    cv2.putText(canvas, letter, origin, font, scale, 255, thickness, cv2.LINE_AA)
    return canvas


def union(rng: np.random.Generator, side: int) -> Coverage:
    """Two outlines grown together: a body with a limb, a fruit with a stalk."""
    canvas = np.zeros((side, side), np.uint8)
    body = int(side * rng.uniform(0.55, 0.8))
    left, top = rng.integers(0, side - body + 1, 2)
    inner = (ellipse, blob, bar)[rng.integers(3)](rng, body)
    canvas[top : top + body, left : left + body] = inner
    limb = int(side * rng.uniform(0.4, 0.7))
    left, top = rng.integers(0, side - limb + 1, 2)
    window = canvas[top : top + limb, left : left + limb]
    np.maximum(window, (bar, ellipse)[rng.integers(2)](rng, limb), out=window)
    return canvas


def segments(rng: np.random.Generator, side: int) -> tuple[Coverage, list[Coverage]]:
    """A long thing made of pieces along its axis: a pencil, a brush, a bottle, a screwdriver.

    Returns:
        The whole outline, and its two to five pieces in their order.
    """
    half = side * 0.48
    thin = half * rng.uniform(0.05, 0.28)
    count = int(rng.integers(2, 6))
    ends = np.sort(rng.uniform(-0.9, 0.9, count - 1))
    along = np.concatenate([[-1.0], ends, [1.0]]) * half
    width = np.full(count + 1, thin)
    if rng.random() < 0.35:  # shoulders and waists
        width *= rng.uniform(0.5, 1.3, count + 1)
    if rng.random() < 0.6:  # a point, which may run over the last two pieces
        tapered = min(int(rng.integers(1, 3)), count)
        last = rng.uniform(0.0, 0.4)
        width[-tapered - 1 :] = np.linspace(width[-tapered - 1], last * thin, tapered + 1)
    angle = rng.choice(4) * np.pi / 2 if rng.random() < 0.4 else rng.uniform(0, 2 * np.pi)

    def piece(first: int, stop: int) -> Coverage:
        upper = np.stack([along[first:stop], width[first:stop]], axis=1)
        lower = np.stack([along[first:stop], -width[first:stop]], axis=1)[::-1]
        return _filled(side, _turned(np.concatenate([upper, lower]), angle, side))

    return piece(0, count + 1), [piece(number, number + 2) for number in range(count)]


OUTLINES: tuple[tuple[float, Callable[[np.random.Generator, int], Coverage]], ...] = (
    (0.22, ellipse),
    (0.20, bar),
    (0.14, polygon),
    (0.22, blob),
    (0.06, ring),
    (0.06, glyph),
    (0.10, union),
)
_WEIGHTS = np.cumsum([weight for weight, _ in OUTLINES])


def outline(rng: np.random.Generator, side: int) -> Coverage:
    """A random outline in a square of ``side`` pixels."""
    choice = int(np.searchsorted(_WEIGHTS, rng.random() * _WEIGHTS[-1], side="right"))
    return OUTLINES[min(choice, len(OUTLINES) - 1)][1](rng, side)
