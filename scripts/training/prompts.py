"""Training batches: crops of scenes with a target mask and a prompt for each."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from scripts.training.canvas import SIDE
from scripts.training.materials import Materials, load_materials
from scripts.training.scenes import Scene, scene

PROMPTS = 8
BOX_SHARE = 0.62
PATCH = 8
NEGATIVE, POSITIVE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT, PADDING = 0, 1, 2, 3, -1


@dataclasses.dataclass(slots=True)
class Batch:
    """B crops of S pixels a side with P prompts each.

    Attributes:
        images: (B, S, S, 3) uint8 RGB.
        valid: (B, S, S) bool; False where the crop is padding, as below a landscape image.
        targets: (B, P, S/2, S/2) uint8 coverage of the target mask, 0-255.
        coords: (B, P, 2, 2) float32 XY in pixels of the crop: a point and padding, or box corners.
        labels: (B, P, 2) int64: one of the constants above, for each coordinate.
        offsets: (B, 2) int64 XY of the crop's first position in the grid of the whole image.
    """

    images: torch.Tensor
    valid: torch.Tensor
    targets: torch.Tensor
    coords: torch.Tensor
    labels: torch.Tensor
    offsets: torch.Tensor


def interior_point(mask: NDArray[np.bool_]) -> tuple[int, int]:
    """The XY pixel farthest from the mask's edge: the protocol for one-point evaluation."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    distance = cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(distance.argmax()), distance.shape)
    return int(column), int(row)


def tight_box(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(4,) float32 XYXY in pixels: the mask's extent."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], np.float32)


def _choose(
    rng: np.random.Generator, source: Scene, window: tuple[slice, slice], smallest: int
) -> list[NDArray[np.bool_]]:
    def visible(masks: list[NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
        cut = [mask[window] for mask in masks]
        return [mask for mask in cut if np.count_nonzero(mask) >= smallest]

    objects, parts = visible(source.objects), visible(source.parts)
    background = visible([source.background]) if source.background is not None else []
    chosen = []
    for _ in range(PROMPTS):
        kind = rng.random()
        pool = objects if kind < 0.82 else parts if kind < 0.97 else background
        pool = pool or objects or parts or background
        if not pool:
            return []
        chosen.append(pool[rng.integers(len(pool))])
    return chosen


def _prompt(
    rng: np.random.Generator, mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    side = len(mask)
    if rng.random() < BOX_SHARE:
        box = tight_box(mask)
        if rng.random() < 0.3:
            sides = np.array([box[2] - box[0], box[3] - box[1]] * 2)
            noise = rng.normal(0, 0.06, 4) * sides
            box = np.clip(box + np.clip(noise, -10, 10), 0, side - 1).astype(np.float32)
        return box.reshape(2, 2), (BOX_TOP_LEFT, BOX_BOTTOM_RIGHT)
    if rng.random() < 0.4:
        point = np.array(interior_point(mask), np.float32)
    else:
        spots = np.flatnonzero(mask)
        row, column = divmod(int(spots[rng.integers(len(spots))]), side)
        point = np.array([column, row], np.float32)
    return np.stack([point, np.zeros(2, np.float32)]), (POSITIVE, PADDING)


def batch(rng: np.random.Generator, materials: Materials, size: int, side: int) -> Batch:
    """Draw one training batch of ``size`` crops with ``side`` pixels (128 or 256)."""
    images: list[Any] = []
    valids, targets, coords, labels, offsets = [], [], [], [], []
    crops_per_scene = 2 if side < SIDE else 1
    while len(images) < size:
        drawn_scene = scene(rng, materials)
        for _ in range(crops_per_scene):
            left, top = (
                rng.integers(0, (SIDE - side) // PATCH + 1, 2) * PATCH if side < SIDE else (0, 0)
            )
            window = (slice(int(top), int(top) + side), slice(int(left), int(left) + side))
            valid = np.ones((side, side), bool)
            if rng.random() < 0.3:  # the network pads landscape below and portrait on the right
                cut = int(side * rng.uniform(0.55, 0.97))
                if rng.random() < 0.7:
                    valid[cut:] = False
                else:
                    valid[:, cut:] = False
            masks = [m & valid for m in _choose(rng, drawn_scene, window, max(side // 5, 24))]
            if not masks or len(images) == size or any(m.sum() < 16 for m in masks):
                continue
            drawn = [_prompt(rng, mask) for mask in masks]
            half = [
                cv2.resize(m.astype(np.uint8) * 255, (side // 2, side // 2), None, 0, 0, 3)
                for m in masks
            ]
            images.append(drawn_scene.image[window])
            valids.append(valid)
            targets.append(np.stack(half))
            coords.append(np.stack([points for points, _ in drawn]))
            labels.append([label for _, label in drawn])
            # A crop may sit anywhere in the grid, so that training reaches all positions.
            free = (SIDE - side) // PATCH + 1
            offsets.append(rng.integers(0, free, 2))
    return Batch(
        images=torch.from_numpy(np.stack(images)),
        valid=torch.from_numpy(np.stack(valids)),
        targets=torch.from_numpy(np.stack(targets)),
        coords=torch.from_numpy(np.stack(coords)),
        labels=torch.tensor(labels, dtype=torch.int64),
        offsets=torch.from_numpy(np.stack(offsets)),
    )


class _Stream(IterableDataset[Batch]):
    def __init__(self, materials: Materials, size: int, side: int, seed: int) -> None:
        self.materials, self.size, self.side, self.seed = materials, size, side, seed

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, worker.id if worker else 0])
        while True:
            yield batch(rng, self.materials, self.size, self.side)


def _leave_signals_to_the_trainer(_worker: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def stream(
    cutout_folder: Path | None, *, size: int, side: int, seed: int, workers: int
) -> Iterator[Batch]:
    """Endless training batches, drawn in background processes; a resumed run takes a new seed."""
    cv2.setNumThreads(0)  # OpenCV's thread pool does not survive the fork of a worker
    source = _Stream(load_materials(cutout_folder, held_out=False), size, side, seed)
    return iter(
        DataLoader(
            source,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_leave_signals_to_the_trainer,
        )
    )
