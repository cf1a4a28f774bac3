"""Low-resolution masks at the image's own size, one region at a time.

The official code scales every mask twice over its whole area: 256 to 1024 pixels, then, without
the padding, to the image (``Sam.postprocess_masks``). Both steps are bilinear and act on rows and
columns apart, so they are one matrix for the rows and one for the columns, and only the rows and
columns that a mask touches have to be multiplied. The matrices are nearly empty: they are kept as
blocks of some pixels and the cells that those read, so their memory grows with the image's sides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

Region = tuple[int, int, int, int]  # top, left, bottom, right in pixels of the image; half open

BLOCK_PX = 128
CPU_STRIP_PX = 1 << 19  # pixels of a mask at once: 2 MB stay in the cache while they are counted
GPU_STRIP_PX = 1 << 25


def _taps(size: int, to: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which two of ``size`` values each of ``to`` reads, and how much of each: (to, 2) both.

    As PyTorch resizes float32, ``mode="bilinear", align_corners=False``: places are float32 too.
    """
    half = np.float32(0.5)
    place = np.float32(size / to) * (np.arange(to, dtype=np.float32) + half) - half
    place = np.maximum(place, np.float32(0))
    first = np.minimum(place.astype(np.int64), size - 1)
    share = place.astype(np.float64) - first
    return np.stack([first, np.minimum(first + 1, size - 1)], 1), np.stack([1 - share, share], 1)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One axis of the composed resizing.

    Attributes:
        pixels: of the image.
        cells: how many cells are read by any pixel.
        first, last: (cells,) the first pixel that reads a cell, and one past the last.
        blocks: for every ``BLOCK_PX`` pixels the first cell that they read, and the matrix
            (pixels, cells from there) float32.
    """

    pixels: int
    cells: int
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    blocks: list[tuple[int, torch.Tensor]]

    @classmethod
    def compose(
        cls, cells: int, network_side: int, kept: int, pixels: int, device: torch.device
    ) -> Axis:
        """Cells to the network's frame, of which ``kept`` pixels are no padding, to the image."""
        from_frame, frame_shares = _taps(kept, pixels)
        from_cells, cell_shares = _taps(cells, network_side)
        reads = from_cells[from_frame].reshape(pixels, 4)
        shares = (frame_shares[:, :, None] * cell_shares[from_frame]).reshape(pixels, 4)
        count = int(reads[shares > 0].max()) + 1
        reads = np.minimum(reads, count - 1)  # what lies beyond has no share
        first, last = np.full(count, pixels), np.zeros(count, np.int64)
        number = np.repeat(np.arange(pixels), 4).reshape(pixels, 4)
        np.minimum.at(first, reads[shares > 0], number[shares > 0])
        np.maximum.at(last, reads[shares > 0], number[shares > 0] + 1)
        blocks = []
        for start in range(0, pixels, BLOCK_PX):
            part = slice(start, start + BLOCK_PX)
            low, high = int(reads[part].min()), int(reads[part].max()) + 1
            matrix = np.zeros((len(reads[part]), high - low))
            rows = np.arange(len(matrix))[:, None]
            np.add.at(matrix, (rows, reads[part] - low), shares[part])
            blocks.append((low, torch.as_tensor(matrix, dtype=torch.float32, device=device)))
        return cls(pixels, count, first, last, blocks)

    def resize(
        self, values: torch.Tensor, offset: int, start: int, stop: int, out: torch.Tensor
    ) -> None:
        """Compute some pixels of an axis.

        Args:
            values: (cells, M) float32, from cell ``offset`` on.
            offset: the cell of the first row; at most the first that the blocks in hand read.
            start, stop: pixels, half open.
            out: (stop - start, M) float32 to write to.
        """
        for number in range(start // BLOCK_PX, -(-stop // BLOCK_PX)):
            origin = number * BLOCK_PX
            low, matrix = self.blocks[number]
            above, below = max(start, origin), min(stop, origin + BLOCK_PX)
            matrix = matrix[above - origin : below - origin]
            read = values[low - offset : low - offset + matrix.shape[1]]
            torch.mm(matrix, read, out=out[above - start : below - start])


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Upsampling:
    """The composed resizing of both axes, for one size of image."""

    rows: Axis
    columns: Axis

    @classmethod
    def of(
        cls,
        cells: int,
        network_side: int,
        input_size_hw: tuple[int, int],
        size_hw: tuple[int, int],
        device: torch.device | None = None,
    ) -> Upsampling:
        """For masks of ``cells`` a side and an image that was scaled to ``input_size_hw``."""
        device = device or torch.device("cpu")
        return cls(
            Axis.compose(cells, network_side, input_size_hw[0], size_hw[0], device),
            Axis.compose(cells, network_side, input_size_hw[1], size_hw[1], device),
        )

    @property
    def size_hw(self) -> tuple[int, int]:
        """The image's size in pixels."""
        return self.rows.pixels, self.columns.pixels

    def regions(self, logits: torch.Tensor, threshold: float) -> list[Region | None]:
        """Where each mask can lie above a threshold: pixels that read a cell above it.

        Args:
            logits: (K, h, w) with h and w at least the cells that are read.
            threshold: in logits.
        """
        above = logits[:, : self.rows.cells, : self.columns.cells] > threshold
        in_rows, in_columns = above.any(2).cpu().numpy(), above.any(1).cpu().numpy()
        found: list[Region | None] = []
        for rows, columns in zip(in_rows, in_columns, strict=True):
            here, there = np.flatnonzero(rows), np.flatnonzero(columns)
            if not len(here):
                found.append(None)
                continue
            top, bottom = int(self.rows.first[here].min()), int(self.rows.last[here].max())
            left, right = int(self.columns.first[there].min()), int(self.columns.last[there].max())
            found.append((top, left, bottom, right) if top < bottom and left < right else None)
        return found

    def strips(self, logits: torch.Tensor, region: Region) -> Iterator[tuple[int, torch.Tensor]]:
        """Logits of one mask in one region, some columns of the image at a time.

        Args:
            logits: (h, w) float32, h and w at least the cells that are read.
            region: in pixels of the image.

        Yields:
            The first column, and (columns, rows) float32: turned, as run lengths go down columns.
        """
        top, left, bottom, right = region
        low = self.columns.blocks[left // BLOCK_PX][0]
        low_last, matrix = self.columns.blocks[(right - 1) // BLOCK_PX]
        part = logits[: self.rows.cells, low : low_last + matrix.shape[1]].contiguous()
        tall = part.new_empty(bottom - top, part.shape[1])
        self.rows.resize(part, 0, top, bottom, tall)
        turned = tall.T.contiguous()
        pixels = GPU_STRIP_PX if logits.device.type == "cuda" else CPU_STRIP_PX
        at_once = max(1, pixels // (bottom - top))
        for start in range(left, right, at_once):
            stop = min(start + at_once, right)
            strip = turned.new_empty(stop - start, bottom - top)
            self.columns.resize(turned, low, start, stop, strip)
            yield start, strip
