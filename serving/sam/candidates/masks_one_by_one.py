"""Masks at the image's size one after the other, each only where it lies: for a CPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from serving.sam.candidates.measurement import Measurement
from serving.sam.candidates.upsampling import Region, Upsampling
from serving.sam.machine.finite import check_finite
from serving.sam.masks import Rle, encode_parts, runs_of_part

Canvas = NDArray[np.uint8]  # (W, H): transposed, as run lengths go down columns


class MasksOneByOne:
    """Measures, encodes and draws masks of one image, in memory that its size hardly changes.

    Args:
        upsampling: to the size of the image, or of a crop of it.
        origin_xy: of the crop in the image.
        image_size_hw: of the image that masks are encoded in; by default without what is around.
    """

    def __init__(
        self,
        upsampling: Upsampling,
        origin_xy: tuple[int, int] = (0, 0),
        image_size_hw: tuple[int, int] | None = None,
    ) -> None:
        self._upsampling, self._origin = upsampling, origin_xy
        self._image_size = image_size_hw or upsampling.size_hw

    def measure(self, logits: torch.Tensor, threshold: float, offset: float) -> list[Measurement]:
        """Measure masks without keeping their bitmaps.

        Args:
            logits: (K, h, w) low resolution.
            threshold: of the masks.
            offset: how far the stability score moves the threshold.

        Raises:
            NotFiniteError: the logits are no numbers.
        """
        check_finite(logits, "masks")
        regions = self._upsampling.regions(logits, threshold - offset)
        return [
            self._measured(mask, region, threshold, offset, None)
            for mask, region in zip(logits, regions, strict=True)
        ]

    def encode(self, logits: Sequence[torch.Tensor], threshold: float) -> list[Rle]:
        """Encode masks (h, w) in the frame of the whole image."""
        return [self._encoded(mask, threshold) for mask in logits]

    def measure_and_encode(
        self, logits: torch.Tensor, threshold: float, offset: float
    ) -> list[tuple[Measurement, Rle]]:
        """Both at once, in the frame of the image; see ``measure``."""
        check_finite(logits, "masks")
        both = []
        regions = self._upsampling.regions(logits, threshold - offset)
        for mask, region in zip(logits, regions, strict=True):
            runs: list[NDArray[np.int64]] = []
            measurement = self._measured(mask, region, threshold, offset, runs)
            both.append((measurement, encode_parts(runs, self._image_size)))
        return both

    def draw(self, logits: Sequence[torch.Tensor], threshold: float) -> Iterator[NDArray[np.bool_]]:
        """Bitmaps (M, H, W) of the masks (M, h, w) of each prompt."""
        height, width = self._upsampling.size_hw
        for each in logits:
            canvas = np.zeros((len(each), width, height), np.uint8)
            regions = self._upsampling.regions(each, threshold)
            for mask, region, drawn in zip(each, regions, canvas, strict=True):
                self._draw(mask, region, threshold, drawn)
            yield canvas.view(np.bool_).transpose(0, 2, 1)

    def _draw(
        self, logits: torch.Tensor, region: Region | None, threshold: float, canvas: Canvas
    ) -> None:
        if region is None:
            return
        for start, strip in self._upsampling.strips(logits, region):
            # numpy compares several times faster than PyTorch.
            bitmap = strip.numpy() > threshold
            canvas[start : start + len(bitmap), region[0] : region[2]] = bitmap

    def _encoded(self, logits: torch.Tensor, threshold: float) -> Rle:
        (region,) = self._upsampling.regions(logits[None], threshold)
        if region is None:
            return encode_parts([], self._image_size)
        return encode_parts(
            [
                self._runs(strip.numpy() > threshold, start, region[0])
                for start, strip in self._upsampling.strips(logits, region)
            ],
            self._image_size,
        )

    def _runs(self, bitmap: NDArray[np.bool_], left: int, top: int) -> NDArray[np.int64]:
        """Runs of a part (columns, rows) of a mask in the image."""
        x, y = self._origin
        return runs_of_part(bitmap, x + left, y + top, self._image_size[0])

    def _measured(
        self,
        logits: torch.Tensor,
        region: Region | None,
        threshold: float,
        offset: float,
        runs: list[NDArray[np.int64]] | None,
    ) -> Measurement:
        """Measure a mask; its runs are added to a list, if there is one."""
        if region is None:
            return Measurement((0, 0, 0, 0), 0, 0)
        top = region[0]
        inner = outer = 0
        columns: list[NDArray[np.int64]] = []
        rows = np.zeros(region[2] - top, bool)
        for start, strip in self._upsampling.strips(logits, region):
            values = strip.numpy()
            inner += int(np.count_nonzero(values > threshold + offset))
            outer += int(np.count_nonzero(values > threshold - offset))
            bitmap = values > threshold
            filled = np.flatnonzero(bitmap.any(1))
            if len(filled):
                columns.append(filled[[0, -1]] + start)
                rows |= bitmap.any(0)
            if runs is not None:
                runs.append(self._runs(bitmap, start, top))
        if not columns:
            return Measurement((0, 0, 0, 0), inner, outer)
        filled_rows = np.flatnonzero(rows) + top
        box = int(columns[0][0]), int(filled_rows[0]), int(columns[-1][1]), int(filled_rows[-1])
        return Measurement(box, inner, outer)
