"""Scenes: objects laid over one another on a background, with the visible mask of each."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.training.canvas import SIDE, Canvas
from scripts.training.materials import FloatImage, Materials, colour, texture
from scripts.training.outlines import Coverage, bar, blob, ellipse, outline, segments

SMALLEST_AREA = 48  # pixels of a mask that is still worth a prompt


@dataclasses.dataclass(slots=True)
class Scene:
    """One picture and what is in it.

    Attributes:
        image: (256, 256, 3) uint8 RGB.
        objects: visible masks of whole objects, (256, 256) bool each.
        parts: visible masks of marked parts of objects.
        background: what no object covers; ``None`` where that is no region of its own.
    """

    image: NDArray[np.uint8]
    objects: list[NDArray[np.bool_]]
    parts: list[NDArray[np.bool_]]
    background: NDArray[np.bool_] | None


def _shade(rng: np.random.Generator, surface: FloatImage, coverage: Coverage) -> None:
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


def _dark_side(rng: np.random.Generator, surface: FloatImage) -> None:
    """Light from one side only, as on a table by a window: the far side is nearly dark."""
    axis = np.linspace(-1, 1, len(surface), dtype=np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.float32(np.cos(angle)) * axis[None, :] + np.float32(np.sin(angle)) * axis[:, None]
    edge, width = np.float32(rng.uniform(0.0, 0.7)), np.float32(rng.uniform(0.1, 0.6))
    depth = np.float32(rng.uniform(0.4, 0.85))
    surface *= 1 - depth * np.clip((ramp[:, :, None] - edge) / width, 0, 1)


def _relief(rng: np.random.Generator, surface: FloatImage) -> None:
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
        _shade(rng, surface, coverage)
    asked = [piece for piece in pieces if (piece > 127).sum() >= SMALLEST_AREA]
    return coverage, surface, asked if rng.random() < 0.25 else []


def _object(
    rng: np.random.Generator, materials: Materials, side: int
) -> tuple[Coverage, FloatImage, list[Coverage]]:
    if materials.cutouts and rng.random() < 0.35:
        return *_cutout(rng, materials, side), []
    if side >= 28 and rng.random() < 0.15:
        return _segmented(rng, materials, side)
    coverage = outline(rng, side)
    surface = texture(rng, side, side, materials)
    parts = _parts(rng, surface, coverage, materials)
    if rng.random() < 0.15:
        _relief(rng, surface)
    _shade(rng, surface, coverage)
    return coverage, surface, parts


def _scatter(rng: np.random.Generator, canvas: Canvas, materials: Materials) -> None:
    few = rng.random() < 0.35
    count = int(rng.integers(1, 5)) if few else int(rng.integers(3, 15))
    smallest, largest = (50, rng.uniform(110, 240)) if few else (18, rng.uniform(50, 140))
    sides = np.sort(np.exp(rng.uniform(np.log(smallest), np.log(largest), count)))[::-1]
    for side in sides.astype(int):
        left, top = (rng.uniform(0.04, 0.96, 2) * SIDE - side / 2).astype(int)
        coverage, surface, parts = _object(rng, materials, int(side))
        if rng.random() < 0.35:
            canvas.shadow(coverage, int(left), int(top), rng)
        canvas.lay(coverage, surface, int(left), int(top), parts)


def _product(rng: np.random.Generator, canvas: Canvas, materials: Materials) -> None:
    """One to three large things on a plain light ground, as in a catalogue or an icon."""
    canvas.image[:] = rng.uniform(225, 255) + rng.uniform(-8, 8, 3).astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        side = int(rng.uniform(70, 235))
        left, top = (rng.uniform(0.3, 0.7, 2) * SIDE - side / 2).astype(int)
        coverage, surface, parts = _object(rng, materials, side)
        (own,) = rng.spawn(1)  # draws of its own, so that other scenes stay what they were
        if own.random() < 0.5:
            _dark_side(own, surface)
        if rng.random() < 0.3:
            canvas.shadow(coverage, int(left), int(top), rng)
        canvas.lay(coverage, surface, int(left), int(top), parts)


def _alike(rng: np.random.Generator, canvas: Canvas, materials: Materials) -> None:
    """Many objects of one kind in a loose grid: coins, seeds, tiles, cells."""
    columns, rows = int(rng.integers(2, 8)), int(rng.integers(2, 8))
    pitch = SIDE / max(columns, rows)
    kind = rng.random()
    base = texture(rng, int(pitch) + 8, int(pitch) + 8, materials)
    lit, cast, relief = rng.random() < 0.6, rng.random() < 0.3, rng.random() < 0.5
    for row in range(rows):
        for column in range(columns):
            if rng.random() < 0.06:
                continue
            side = int(pitch * rng.uniform(0.6, 1.0))
            if side < 12:
                continue
            parts: list[Coverage] = []
            if kind < 0.55:
                coverage = ellipse(rng, side)
            elif kind < 0.75:
                coverage = outline(rng, side)
            elif kind < 0.85 or not materials.cutouts:
                coverage = blob(rng, side)
            else:
                coverage, surface, parts = _object(rng, materials, side)
            if not parts and (kind < 0.85 or not materials.cutouts):
                surface = base[:side, :side] * np.float32(rng.uniform(0.8, 1.2))
                if relief:
                    _relief(rng, surface)
                if lit:
                    _shade(rng, surface, coverage)
            jitter = rng.normal(0, pitch * 0.06, 2)
            left = int((column + 0.5) * pitch - side / 2 + jitter[0])
            top = int((row + 0.5) * pitch - side / 2 + jitter[1])
            if cast:
                canvas.shadow(coverage, left, top, rng)
            canvas.lay(coverage, surface, left, top, parts)


def _photographed(rng: np.random.Generator, materials: Materials) -> Scene:
    """A photograph whose over-segmentation stands in for masks (pseudo-labels)."""
    number = int(rng.integers(len(materials.photos)))
    photo = materials.photos[number]
    labels = materials.regions[number][int(rng.integers(len(materials.regions[number])))]
    side = int(min(photo.shape[:2]) * rng.uniform(0.4, 1.0))
    top = int(rng.integers(photo.shape[0] - side + 1))
    left = int(rng.integers(photo.shape[1] - side + 1))
    window = (slice(top, top + side), slice(left, left + side))
    image = cv2.resize(photo[window], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    ids = cv2.resize(
        labels[window].astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST
    ).astype(np.int32)
    found, counts = np.unique(ids, return_counts=True)
    fit = found[(counts > 4 * SMALLEST_AREA) & (counts < 0.5 * SIDE * SIDE)]
    chosen = rng.permutation(fit)[:10]
    return Scene(np.asarray(image), [ids == label for label in chosen], [], None)


def _camera(rng: np.random.Generator, image: FloatImage) -> NDArray[np.uint8]:
    """What a camera does: uneven light, blur, noise, compression, sometimes no colour."""
    if rng.random() < 0.35:
        corners = rng.uniform(0.45, 1.25, (2, 2)).astype(np.float32)
        light = cv2.resize(corners, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        image = image * light[:, :, None]
    if rng.random() < 0.2:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.3:
        image = (image - 128) * np.float32(rng.uniform(0.4, 1.2)) + np.float32(rng.uniform(90, 165))
    if rng.random() < 0.35:
        noise = rng.standard_normal((SIDE, SIDE, 1), np.float32)
        image = image + noise * np.float32(rng.uniform(1, 12))
    picture = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))]
        _, packed = cv2.imencode(".jpg", picture, quality)
        picture = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return picture


def scene(rng: np.random.Generator, materials: Materials) -> Scene:
    """Return a random scene; the same generator state gives the same scene."""
    if materials.regions and rng.random() < 0.08:
        return _photographed(rng, materials)
    canvas = Canvas(texture(rng, SIDE, SIDE, materials))
    kind = rng.random()
    layout = _alike if kind < 0.25 else _product if kind < 0.32 else _scatter
    layout(rng, canvas, materials)
    covered = np.zeros((SIDE, SIDE), bool)
    for mask in canvas.objects:
        covered |= mask
    return Scene(
        image=_camera(rng, canvas.image),
        objects=[mask for mask in canvas.objects if mask.sum() >= SMALLEST_AREA],
        parts=[mask for mask in canvas.parts if mask.sum() >= SMALLEST_AREA],
        background=~covered,
    )
