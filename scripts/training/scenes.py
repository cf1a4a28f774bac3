"""Scenes: objects laid over one another on a background, with the visible mask of each."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.training.canvas import SIDE, Canvas
from scripts.training.materials import FloatImage, Materials, texture
from scripts.training.objects import (
    SMALLEST_AREA,
    add_relief,
    darken_far_side,
    random_object,
    shade,
)
from scripts.training.outlines import Coverage, blob, ellipse, outline


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


def _scatter(rng: np.random.Generator, canvas: Canvas, materials: Materials) -> None:
    few = rng.random() < 0.35
    count = int(rng.integers(1, 5)) if few else int(rng.integers(3, 15))
    smallest, largest = (50, rng.uniform(110, 240)) if few else (18, rng.uniform(50, 140))
    sides = np.sort(np.exp(rng.uniform(np.log(smallest), np.log(largest), count)))[::-1]
    for side in sides.astype(int):
        left, top = (rng.uniform(0.04, 0.96, 2) * SIDE - side / 2).astype(int)
        coverage, surface, parts = random_object(rng, materials, int(side))
        if rng.random() < 0.35:
            canvas.shadow(coverage, int(left), int(top), rng)
        canvas.lay(coverage, surface, int(left), int(top), parts)


def _product(rng: np.random.Generator, canvas: Canvas, materials: Materials) -> None:
    """One to three large things on a plain light ground, as in a catalogue or an icon."""
    canvas.image[:] = rng.uniform(225, 255) + rng.uniform(-8, 8, 3).astype(np.float32)
    for _ in range(int(rng.integers(1, 4))):
        side = int(rng.uniform(70, 235))
        left, top = (rng.uniform(0.3, 0.7, 2) * SIDE - side / 2).astype(int)
        coverage, surface, parts = random_object(rng, materials, side)
        (own,) = rng.spawn(1)  # draws of its own, so that other scenes stay what they were
        if own.random() < 0.5:
            darken_far_side(own, surface)
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
                coverage, surface, parts = random_object(rng, materials, side)
            if not parts and (kind < 0.85 or not materials.cutouts):
                surface = base[:side, :side] * np.float32(rng.uniform(0.8, 1.2))
                if relief:
                    add_relief(rng, surface)
                if lit:
                    shade(rng, surface, coverage)
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
    regions, counts = np.unique(ids, return_counts=True)
    fit = regions[(counts > 4 * SMALLEST_AREA) & (counts < 0.5 * SIDE * SIDE)]
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
