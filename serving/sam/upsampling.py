"""Low-resolution masks at the image's own size, one region at a time.

The official code scales every mask twice over its whole area: 256 to 1024 pixels, then, without
the padding, to the image (``Sam.postprocess_masks``). Both steps are bilinear and act on rows and
columns apart, so they are one matrix for the rows and one for the columns, and only the rows and
columns that a mask touches have to be multiplied.
"""

from __future__ import annotations

import dataclasses

import torch
import torch.nn.functional as F

Region = tuple[int, int, int, int]  # top, left, bottom, right in pixels of the image; half open


def _resize_matrix(size: int, to: int) -> torch.Tensor:
    """(to, size) float64: bilinear resizing as PyTorch does it, ``align_corners=False``."""
    unit = torch.eye(size, dtype=torch.float64)[None, None]
    return F.interpolate(unit, size=(to, size), mode="bilinear", align_corners=False)[0, 0]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One axis of the composed resizing.

    Attributes:
        matrix: (pixels, cells) float32.
        first, last: (cells,) int64; the first pixel that a cell touches, and one past the last.
        start, stop: (pixels,) int64; the first cell that a pixel reads, and one past the last.
    """

    matrix: torch.Tensor
    first: torch.Tensor
    last: torch.Tensor
    start: torch.Tensor
    stop: torch.Tensor

    @classmethod
    def compose(cls, cells: int, network_side: int, kept: int, pixels: int) -> Axis:
        """Cells to the network's frame, of which ``kept`` pixels are no padding, to the image."""
        matrix = _resize_matrix(kept, pixels) @ _resize_matrix(cells, network_side)[:kept]
        touched = matrix != 0
        count = torch.arange(pixels)
        first = torch.where(touched, count[:, None], pixels).amin(0)
        last = torch.where(touched, count[:, None] + 1, 0).amax(0)
        number = torch.arange(cells)
        start = torch.where(touched, number, cells).amin(1)
        stop = torch.where(touched, number + 1, 0).amax(1)
        return cls(matrix.float(), first, last, start, stop)

    @property
    def cells(self) -> int:
        """How many cells are touched by any pixel."""
        return int(self.stop.max())


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Upsampling:
    """The composed resizing of both axes, for one size of image."""

    rows: Axis
    columns: Axis

    @classmethod
    def of(
        cls, cells: int, network_side: int, input_size_hw: tuple[int, int], size_hw: tuple[int, int]
    ) -> Upsampling:
        """For masks of ``cells`` a side and an image that was scaled to ``input_size_hw``."""
        return cls(
            Axis.compose(cells, network_side, input_size_hw[0], size_hw[0]),
            Axis.compose(cells, network_side, input_size_hw[1], size_hw[1]),
        )

    def regions(self, logits: torch.Tensor, threshold: float) -> list[Region | None]:
        """Where each mask can lie above a threshold: pixels that touch a cell above it.

        Args:
            logits: (K, h, w) with h and w at least the cells that are touched.
            threshold: in logits.
        """
        above = logits > threshold
        found: list[Region | None] = []
        for rows, columns in zip(above.any(2), above.any(1), strict=True):
            if not rows.any():
                found.append(None)
                continue
            here, there = rows.nonzero()[:, 0], columns.nonzero()[:, 0]
            top = int(self.rows.first[here].min())
            left = int(self.columns.first[there].min())
            bottom = int(self.rows.last[here].max())
            right = int(self.columns.last[there].max())
            found.append((top, left, bottom, right) if top < bottom and left < right else None)
        return found

    def region(self, logits: torch.Tensor, region: Region) -> torch.Tensor:
        """Logits of one mask in one region of the image: (bottom - top, right - left)."""
        top, left, bottom, right = region
        cell_top = int(self.rows.start[top:bottom].min())
        cell_bottom = int(self.rows.stop[top:bottom].max())
        cell_left = int(self.columns.start[left:right].min())
        cell_right = int(self.columns.stop[left:right].max())
        rows = self.rows.matrix[top:bottom, cell_top:cell_bottom]
        columns = self.columns.matrix[left:right, cell_left:cell_right]
        part = logits[cell_top:cell_bottom, cell_left:cell_right]
        return (rows @ part) @ columns.T
