"""A picture painted object by object, with the visible mask of each object."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.training.materials import FloatImage
from scripts.training.outlines import Coverage

SIDE = 256


class Canvas:
    """Painter's algorithm: later objects hide earlier ones, in the picture and in the masks."""

    def __init__(self, background: FloatImage) -> None:
        self.image = background
        self.objects: list[NDArray[np.bool_]] = []
        self.parts: list[NDArray[np.bool_]] = []

    def _window(self, left: int, top: int, side: int) -> tuple[slice, slice, slice, slice] | None:
        row0, row1 = max(top, 0), min(top + side, SIDE)
        column0, column1 = max(left, 0), min(left + side, SIDE)
        if row0 >= row1 or column0 >= column1:
            return None
        return (
            slice(row0, row1),
            slice(column0, column1),
            slice(row0 - top, row1 - top),
            slice(column0 - left, column1 - left),
        )

    def shadow(self, coverage: Coverage, left: int, top: int, rng: np.random.Generator) -> None:
        """Darken the picture beside an object, before ``lay`` paints it."""
        side = len(coverage)
        pad = max(side // 6, 4)
        wide = cv2.copyMakeBorder(coverage, pad, pad, pad, pad, cv2.BORDER_CONSTANT)
        wide = cv2.blur(wide, (pad, pad))
        shift = rng.integers(-pad // 2, pad + 1, 2)
        window = self._window(left - pad + int(shift[0]), top - pad + int(shift[1]), side + 2 * pad)
        if window is None:
            return
        rows, columns, own_rows, own_columns = window
        strength = rng.uniform(0.15, 0.7) / 255
        self.image[rows, columns] *= 1 - wide[own_rows, own_columns, None] * np.float32(strength)

    def lay(
        self,
        coverage: Coverage,
        surface: FloatImage,
        left: int,
        top: int,
        parts: list[Coverage],
    ) -> None:
        """Paint one object and record its mask; hide what lies beneath."""
        window = self._window(left, top, len(coverage))
        if window is None:
            return
        rows, columns, own_rows, own_columns = window
        alpha = coverage[own_rows, own_columns, None] * np.float32(1 / 255)
        below = self.image[rows, columns]
        below += alpha * (surface[own_rows, own_columns] - below)
        solid = coverage[own_rows, own_columns] > 127
        for mask in (*self.objects, *self.parts):
            mask[rows, columns] &= ~solid
        whole = np.zeros((SIDE, SIDE), bool)
        whole[rows, columns] = solid
        self.objects.append(whole)
        for part in parts:
            inside = np.zeros((SIDE, SIDE), bool)
            inside[rows, columns] = solid & (part[own_rows, own_columns] > 127)
            self.parts.append(inside)
