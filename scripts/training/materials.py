"""Surfaces for the synthetic scenes: textures, photographs, and cut-outs with an alpha channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]  # HWC, RGB, 0-255

TRAINING_PHOTOS = (
    "brick",
    "camera",
    "colorwheel",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "retina",
)
TRAINING_STEREO = "stereo_motorcycle"
HELD_OUT_PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
HELD_OUT_EVERY = 10  # training never sees one cut-out in ten
SKIN_TONES = ("1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff")
CUTOUT_SIDE = 160


@dataclasses.dataclass(frozen=True, slots=True)
class Materials:
    """The pictures of which scenes are made.

    Attributes:
        photos: HWC uint8 RGB photographs, longest side at most 512 px.
        regions: for each photo, label maps (H, W) int32 of an over-segmentation, fine and coarse.
        cutouts: HWC uint8 RGBA pictures whose alpha channel is the object's outline.
    """

    photos: tuple[NDArray[np.uint8], ...]
    regions: tuple[tuple[NDArray[np.int32], ...], ...]
    cutouts: tuple[NDArray[np.uint8], ...]


def load_materials(cutout_folder: Path | None, held_out: bool) -> Materials:
    """Load the training pictures, or the disjoint held-out ones.

    Photographs come from scikit-image and scikit-learn, which ship them; the coins picture is in
    neither set, it is an evaluation of its own. Without ``cutout_folder`` there are no cut-outs.
    """
    photos = tuple(_photos(held_out))
    regions = () if held_out else tuple(_regions(photo) for photo in photos)
    return Materials(photos, regions, tuple(_cutouts(cutout_folder, held_out)))


def _fit(image: NDArray[np.uint8], longest: int = 512) -> NDArray[np.uint8]:
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    scale = min(1.0, longest / max(image.shape[:2]))
    width, height = round(image.shape[1] * scale), round(image.shape[0] * scale)
    resized = cv2.resize(image[:, :, :3], (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(resized, dtype=np.uint8)


def _photos(held_out: bool) -> list[NDArray[np.uint8]]:
    from skimage import data

    if held_out:
        return [_fit(getattr(data, name)()) for name in HELD_OUT_PHOTOS]
    from sklearn.datasets import load_sample_images

    pictures = [getattr(data, name)() for name in TRAINING_PHOTOS]
    pictures.append(getattr(data, TRAINING_STEREO)()[0])
    pictures.extend(load_sample_images().images)
    return [_fit(picture) for picture in pictures]


def _regions(photo: NDArray[np.uint8]) -> tuple[NDArray[np.int32], ...]:
    from skimage.segmentation import felzenszwalb

    return tuple(
        felzenszwalb(photo, scale=scale, sigma=0.8, min_size=80).astype(np.int32)
        for scale in (150, 600)
    )


def _cutouts(folder: Path | None, held_out: bool) -> list[NDArray[np.uint8]]:
    if folder is None:
        return []
    files = sorted(
        path for path in folder.glob("*.webp") if not any(tone in path.stem for tone in SKIN_TONES)
    )
    if not files:
        raise SystemExit(f"error: no .webp cut-outs in {folder}")
    pictures = []
    for number, path in enumerate(files):
        if (number % HELD_OUT_EVERY == 0) != held_out:
            continue
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            continue
        rgba = cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)
        pictures.append(cv2.resize(rgba, (CUTOUT_SIDE, CUTOUT_SIDE), interpolation=cv2.INTER_AREA))
    return pictures


def colour(rng: np.random.Generator) -> FloatImage:
    """A random colour, (3,) float32 in 0-255; greys, whites and blacks are common in life."""
    kind = rng.random()
    if kind < 0.2:
        return np.full(3, rng.uniform(0, 255), np.float32)
    if kind < 0.3:
        return np.full(3, rng.choice([8, 245]), np.float32) + rng.normal(0, 5, 3).astype(np.float32)
    hue, saturation, value = rng.uniform(0, 180), rng.uniform(30, 255), rng.uniform(40, 255)
    pixel = np.array([[[hue, saturation, value]]], np.uint8)
    return np.asarray(cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0], dtype=np.float32)


def _flat(rng: np.random.Generator, height: int, width: int, _: Materials) -> FloatImage:
    return np.broadcast_to(colour(rng), (height, width, 3)).copy()


def _gradient(rng: np.random.Generator, height: int, width: int, _: Materials) -> FloatImage:
    angle = rng.uniform(0, 2 * np.pi)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    ramp = (np.cos(angle) * columns + np.sin(angle) * rows) / 2.83 + 0.5
    start = colour(rng)
    end = np.clip(start + rng.normal(0, 60, 3), 0, 255).astype(np.float32)
    return np.asarray(start + ramp[:, :, None] * (end - start))


def _noise(rng: np.random.Generator, height: int, width: int, _: Materials) -> FloatImage:
    field = np.zeros((height, width), np.float32)
    for _octave in range(int(rng.integers(1, 4))):
        cells = int(rng.integers(2, 40))
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        field += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    tint = rng.uniform(0.6, 1.4, 3).astype(np.float32) * rng.uniform(8, 40)
    return colour(rng) + field[:, :, None] * tint


def _stripes(rng: np.random.Generator, height: int, width: int, _: Materials) -> FloatImage:
    angle, period = rng.uniform(0, np.pi), rng.uniform(4, 40)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    wave = np.sin((np.cos(angle) * columns + np.sin(angle) * rows) * 2 * np.pi / period)
    if rng.random() < 0.3:
        across = np.sin((np.cos(angle) * rows - np.sin(angle) * columns) * 2 * np.pi / period)
        wave = wave * across
    if rng.random() < 0.6:
        wave = np.sign(wave)
    base = colour(rng)
    other = colour(rng) if rng.random() < 0.4 else base + rng.normal(0, 35, 3).astype(np.float32)
    return np.asarray(base + (wave[:, :, None] * 0.5 + 0.5) * (other - base))


def _photo(rng: np.random.Generator, height: int, width: int, materials: Materials) -> FloatImage:
    if not materials.photos:
        return _noise(rng, height, width, materials)
    photo = materials.photos[rng.integers(len(materials.photos))]
    patch = _random_patch(rng, photo, height, width).astype(np.float32)
    if rng.random() < 0.5:
        patch = patch * rng.uniform(0.5, 1.3, 3).astype(np.float32) + rng.uniform(-30, 30)
    return patch


def _random_patch(
    rng: np.random.Generator, photo: NDArray[np.uint8], height: int, width: int
) -> NDArray[np.uint8]:
    most = min(photo.shape[0] / height, photo.shape[1] / width)
    scale = rng.uniform(0.35, 1.0) * most
    rows, columns = max(int(height * scale), 2), max(int(width * scale), 2)
    top = rng.integers(photo.shape[0] - rows + 1)
    left = rng.integers(photo.shape[1] - columns + 1)
    patch = photo[top : top + rows, left : left + columns]
    interpolation = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(patch, (width, height), interpolation=interpolation))


TEXTURES: tuple[tuple[float, Callable[..., FloatImage]], ...] = (
    (0.34, _flat),
    (0.22, _gradient),
    (0.18, _noise),
    (0.10, _stripes),
    (0.16, _photo),
)
_WEIGHTS = np.cumsum([weight for weight, _ in TEXTURES])


def texture(rng: np.random.Generator, height: int, width: int, materials: Materials) -> FloatImage:
    """A random surface, (height, width, 3) float32; values may leave 0-255 a little."""
    choice = int(np.searchsorted(_WEIGHTS, rng.random() * _WEIGHTS[-1], side="right"))
    return TEXTURES[min(choice, len(TEXTURES) - 1)][1](rng, height, width, materials)
