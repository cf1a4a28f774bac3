"""Objects of the synthetic scenes: an outline with a surface, light on it, and its marked parts."""

from __future__ import annotations

import cv2
import numpy as np

from scripts.training.materials import FloatImage, Materials, colour, texture
from scripts.training.outlines import Coverage, bar, blob, ellipse, outline, segments

SMALLEST_AREA = 48  # pixels of a mask that is still worth a prompt


def shade(rng: np.random.Generator, surface: FloatImage, coverage: Coverage) -> None:
    """Light an object from one side, or round it like a ball, or emboss its edge."""
    side = len(coverage)
    kind = rng.random()
    if kind < 0.35:
        return
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.float32(np.cos(angle)) * axis[None, :] + np.float32(np.sin(angle)) * axis[:, None]
    if kind < 0.6:
        surface *= 1 + ramp[:, :, None] * np.float32(rng.uniform(0.1, 0.4))
    elif kind < 0.8:
        centre = rng.uniform(-0.4, 0.4, 2).astype(np.float32)
        radius2 = (axis[None, :] - centre[0]) ** 2 + (axis[:, None] - centre[1]) ** 2
        surface *= (1.25 - np.float32(rng.uniform(0.2, 0.6)) * radius2)[:, :, None]
        if rng.random() < 0.4:
            gloss = np.exp(-radius2 / np.float32(rng.uniform(0.01, 0.08)))
            surface += gloss[:, :, None] * np.float32(rng.uniform(60, 200))
    else:
        width = max(side // 24, 1)
        soft = cv2.blur(coverage, (2 * width + 1, 2 * width + 1)).astype(np.float32)
        slope = cv2.Sobel(soft, cv2.CV_32F, 1, 0) * np.cos(angle)
        slope += cv2.Sobel(soft, cv2.CV_32F, 0, 1) * np.sin(angle)
        surface += slope[:, :, None] * np.float32(rng.uniform(0.1, 0.6) * width / 2)


def darken_far_side(rng: np.random.Generator, surface: FloatImage) -> None:
    """Light from one side only, as on a table by a window: the far side is nearly dark."""
    axis = np.linspace(-1, 1, len(surface), dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.float32(np.cos(angle)) * axis[None, :] + np.float32(np.sin(angle)) * axis[:, None]
    edge, width = np.float32(rng.uniform(0.0, 0.7)), np.float32(rng.uniform(0.1, 0.6))
    depth = np.float32(rng.uniform(0.4, 0.85))
    surface *= 1 - depth * np.clip((ramp[:, :, None] - edge) / width, 0, 1)


def add_relief(rng: np.random.Generator, surface: FloatImage) -> None:
    """Stamp a blurred random relief on a surface, as on a coin or a carved stone."""
    side = len(surface)
    for _ in range(int(rng.integers(1, 3))):
        cells = max(side // int(rng.integers(3, 10)), 2)
        field = cv2.resize(
            rng.standard_normal((cells, cells)).astype(np.float32),
            (side, side),
            interpolation=cv2.INTER_CUBIC,
        )
        surface += field[:, :, None] * np.float32(rng.uniform(8, 45))


def _parts(
    rng: np.random.Generator,
    surface: FloatImage,
    coverage: Coverage,
    materials: Materials,
) -> list[Coverage]:
    """Give some objects differently coloured parts; return those large enough to ask for."""
    side = len(coverage)
    if side < 28 or rng.random() < 0.6:
        return []
    parts: list[Coverage] = []
    for _ in range(int(rng.integers(1, 4))):
        part = np.zeros((side, side), np.uint8)
        if rng.random() < 0.5:  # a band across
            start = int(rng.integers(side))
            stop = start + int(side * rng.uniform(0.1, 0.4))
            if rng.random() < 0.5:
                part[start:stop] = 255
            else:
                part[:, start:stop] = 255
        else:  # something within
            inner = int(side * rng.uniform(0.2, 0.5))
            left, top = rng.integers(0, side - inner + 1, 2)
            shape = (ellipse, blob, bar)[rng.integers(3)](rng, inner)
            part[top : top + inner, left : left + inner] = shape
        part = np.minimum(part, coverage)
        if (part > 127).sum() < SMALLEST_AREA:
            continue
        tint = texture(rng, side, side, materials) if rng.random() < 0.3 else colour(rng)
        surface += part[:, :, None] * np.float32(1 / 255) * (tint - surface)
        for earlier in parts:
            np.minimum(earlier, 255 - part, out=earlier)
        parts.append(part)
    return parts


def _cutout(
    rng: np.random.Generator, materials: Materials, side: int
) -> tuple[Coverage, FloatImage]:
    picture = materials.cutouts[rng.integers(len(materials.cutouts))]
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    angle = rng.normal(0, 15) if rng.random() < 0.7 else rng.uniform(-180, 180)
    middle = picture.shape[0] / 2
    turn = cv2.getRotationMatrix2D((middle, middle), angle, side / picture.shape[0] * 0.92)
    turn[:, 2] += side / 2 - middle
    flags = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_LINEAR
    rgba = cv2.warpAffine(np.ascontiguousarray(picture), turn, (side, side), flags=flags)
    surface = rgba[:, :, :3].astype(np.float32)
    if rng.random() < 0.5:
        surface = surface * rng.uniform(0.5, 1.2, 3).astype(np.float32) + np.float32(
            rng.uniform(-25, 25)
        )
    return np.ascontiguousarray(rgba[:, :, 3]), surface


def _segmented(
    rng: np.random.Generator, materials: Materials, side: int
) -> tuple[Coverage, FloatImage, list[Coverage]]:
    """A long thing of several colours. One click on it means the whole thing, most of the time."""
    coverage, pieces = segments(rng, side)
    surface = np.zeros((side, side, 3), np.float32)
    for piece in pieces:
        tint = texture(rng, side, side, materials) if rng.random() < 0.3 else colour(rng)
        surface += (piece > 0)[:, :, None] * (tint - surface)
    if rng.random() < 0.6:
        shade(rng, surface, coverage)
    asked = [piece for piece in pieces if (piece > 127).sum() >= SMALLEST_AREA]
    return coverage, surface, asked if rng.random() < 0.25 else []


def random_object(
    rng: np.random.Generator, materials: Materials, side: int
) -> tuple[Coverage, FloatImage, list[Coverage]]:
    """Return a random object in a square of ``side`` pixels: coverage, surface, marked parts."""
    if materials.cutouts and rng.random() < 0.35:
        return *_cutout(rng, materials, side), []
    if side >= 28 and rng.random() < 0.15:
        return _segmented(rng, materials, side)
    coverage = outline(rng, side)
    surface = texture(rng, side, side, materials)
    parts = _parts(rng, surface, coverage, materials)
    if rng.random() < 0.15:
        add_relief(rng, surface)
    shade(rng, surface, coverage)
    return coverage, surface, parts
