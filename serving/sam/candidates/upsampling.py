"""Low-resolution masks at the image's own size, one region at a time.

The official code scales every mask twice over its whole area: 256 to 1024 pixels, then, without
the padding, to the image (``Sam.postprocess_masks``). Both steps are bilinear and act on rows and
columns apart, so they are one matrix for the rows and one for the columns, and only the rows and
columns that a mask touches have to be multiplied. The matrices are nearly empty: an ``Axis`` keeps
blocks of some pixels and the cells that those read, so its memory grows with the image's sides, and
multiplies all blocks at once.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.machine.transfers import upload

Region = tuple[int, int, int, int]  # top, left, bottom, right in pixels of the image; half open

BLOCK_PX = 64
STRIP_PX = 1 << 19  # pixels of a mask at once: 2 MB stay in the cache while they are counted


def _taps(size: int, to: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Which two of ``size`` values each of ``to`` reads, and how much of each: (to, 2) both.

    As PyTorch resizes float32, ``mode="bilinear", align_corners=False``: positions are float32 too.
    """
    half = np.float32(0.5)
    position = np.float32(size / to) * (np.arange(to, dtype=np.float32) + half) - half
    position = np.maximum(position, np.float32(0))
    first = np.minimum(position.astype(np.int64), size - 1)
    share = position.astype(np.float64) - first
    return np.stack([first, np.minimum(first + 1, size - 1)], 1), np.stack([1 - share, share], 1)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One axis of the composed resizing.

    Attributes:
        pixels: of the image.
        cells: how many cells the pixels read.
        first, last: (cells,) the first pixel that reads a cell, and one past the last.
        reads: (blocks, K) int64, the cells that each ``BLOCK_PX`` pixels read, in a row.
        shares: (blocks, BLOCK_PX, K) float32, how much of them each pixel reads; the last block
            may have more pixels than the image.
    """

    pixels: int
    cells: int
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    reads: torch.Tensor
    shares: torch.Tensor

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
        starts = np.arange(0, pixels, BLOCK_PX)
        low = np.minimum.reduceat(reads.min(1), starts)
        width = int((np.maximum.reduceat(reads.max(1), starts) - low).max()) + 1
        block = np.arange(pixels) // BLOCK_PX
        matrices = np.zeros((len(starts), BLOCK_PX, width))
        index = block[:, None], np.arange(pixels)[:, None] % BLOCK_PX, reads - low[block, None]
        np.add.at(matrices, index, shares)
        return cls(
            pixels,
            count,
            first,
            last,
            # A block may read fewer cells than the widest; what lies beyond has no share.
            upload(np.minimum(low[:, None] + np.arange(width), count - 1), device),
            upload(matrices.astype(np.float32), device),
        )

    def resize(self, values: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Some pixels of an axis.

        Args:
            values: (cells, M) float32.
            start, stop: pixels, half open.

        Returns:
            (stop - start, M) float32.
        """
        origin = start // BLOCK_PX
        blocks = slice(origin, -(-stop // BLOCK_PX))
        resized = torch.bmm(self.shares[blocks], values[self.reads[blocks]]).flatten(0, 1)
        return resized[start - origin * BLOCK_PX : stop - origin * BLOCK_PX]


# Prompts on an image, and images of a run, are often of one size; 8192 pixels take 0.2 MB.
_axis = functools.lru_cache(maxsize=16)(Axis.compose)


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
            _axis(cells, network_side, input_size_hw[0], size_hw[0], device),
            _axis(cells, network_side, input_size_hw[1], size_hw[1], device),
        )

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.rows.shares.device

    @property
    def size_hw(self) -> tuple[int, int]:
        """The image's size in pixels."""
        return self.rows.pixels, self.columns.pixels

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns of the embedding that are no padding: four cells each."""
        return -(-self.rows.cells // 4), -(-self.columns.cells // 4)

    def regions(self, logits: torch.Tensor, threshold: float) -> list[Region | None]:
        """Where each mask can lie above a threshold: pixels that read a cell above it.

        Args:
            logits: (K, h, w) with h and w at least the cells that the pixels read.
            threshold: in logits.
        """
        above = logits[:, : self.rows.cells, : self.columns.cells] > threshold
        in_rows, in_columns = above.any(2).cpu().numpy(), above.any(1).cpu().numpy()
        regions: list[Region | None] = []
        for rows, columns in zip(in_rows, in_columns, strict=True):
            filled_rows, filled_columns = np.flatnonzero(rows), np.flatnonzero(columns)
            if not len(filled_rows):
                regions.append(None)
                continue
            top, bottom = (
                int(self.rows.first[filled_rows].min()),
                int(self.rows.last[filled_rows].max()),
            )
            left, right = (
                int(self.columns.first[filled_columns].min()),
                int(self.columns.last[filled_columns].max()),
            )
            regions.append((top, left, bottom, right) if top < bottom and left < right else None)
        return regions

    def strips(self, logits: torch.Tensor, region: Region) -> Iterator[tuple[int, torch.Tensor]]:
        """Logits of one mask in one region, a strip of the image's columns at a time.

        Args:
            logits: (h, w) float32, h and w at least the cells that the pixels read.
            region: in pixels of the image.

        Yields:
            The first column, and (columns, rows) float32: transposed, as run lengths go down
            columns.
        """
        top, left, bottom, right = region
        transposed = self.rows.resize(logits[:, : self.columns.cells], top, bottom).T.contiguous()
        at_once = max(1, STRIP_PX // (bottom - top) // BLOCK_PX) * BLOCK_PX
        start = left
        while start < right:
            stop = min((start // BLOCK_PX) * BLOCK_PX + at_once, right)
            yield start, self.columns.resize(transposed, start, stop)
            start = stop
