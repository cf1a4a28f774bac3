"""Many masks at the image's size at once, as a GPU needs them to be busy.

Nothing here depends on what a mask looks like, so the host starts everything and waits once: for
the measurements, and for the runs of the masks that are kept. Bitmaps stay on the device.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from serving.sam.batches import in_batches
from serving.sam.candidates.measurement import Measurement
from serving.sam.candidates.upsampling import Upsampling
from serving.sam.machine.finite import refuse_not_finite
from serving.sam.masks import Rle, encode_runs

MEASURED_PX = 1 << 27  # of masks at once: with what is made of them about 1.5 GB
DRAWN_PX = 1 << 25  # of masks at once that the host gets as bitmaps


class MasksTogether:
    """Measures, encodes and draws masks of one image, many at once.

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
        """Measure masks (K, h, w) of low resolution; see ``MasksOneByOne.measure``."""
        batches = in_batches(
            len(logits),
            self._at_once(MEASURED_PX, self._upsampling.size_hw),
            lambda part: self._measured(logits[part], threshold, offset),
        )
        # The only wait: before, the host has started the work of all batches.
        rows = torch.cat([measured for _, measured in batches]).cpu().numpy()
        refuse_not_finite(bool(rows[:, 6].all()), "masks")
        return [
            Measurement((int(x0), int(y0), int(x1), int(y1)), int(inner), int(outer))
            for x0, y0, x1, y1, inner, outer, _ in rows
        ]

    def encode(self, logits: Sequence[torch.Tensor], threshold: float) -> list[Rle]:
        """Encode masks (h, w) in the frame of the whole image."""
        batches = in_batches(
            len(logits),
            self._at_once(MEASURED_PX, self._image_size),  # a small crop's masks become as large
            lambda part: self._encoded(torch.stack(list(logits[part])), threshold),
        )
        return [rle for _, encoded in batches for rle in encoded]

    def measure_and_encode(
        self, logits: torch.Tensor, threshold: float, offset: float
    ) -> list[tuple[Measurement, Rle]]:
        """Both; making the masks of the image's size twice costs a GPU next to nothing."""
        measurements = self.measure(logits, threshold, offset)
        return list(zip(measurements, self.encode(list(logits), threshold), strict=True))

    def draw(self, logits: Sequence[torch.Tensor], threshold: float) -> Iterator[NDArray[np.bool_]]:
        """Bitmaps (M, H, W) of the masks (M, h, w) of each prompt."""
        masks = max((len(each) for each in logits), default=1)
        most = max(1, self._at_once(DRAWN_PX, self._upsampling.size_hw) // masks)
        for start in range(0, len(logits), most):
            group = logits[start : start + most]
            above = self._whole(torch.cat(list(group))) > threshold
            bitmaps = above.permute(1, 0, 2).contiguous().cpu().numpy().transpose(0, 2, 1)
            first = 0
            for each in group:
                yield bitmaps[first : first + len(each)]
                first += len(each)

    @staticmethod
    def _at_once(pixels: int, size_hw: tuple[int, int]) -> int:
        return max(1, pixels // (size_hw[0] * size_hw[1]))

    def _whole(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (W, K, H) at the image's size of masks (K, h, w)."""
        rows, columns = self._upsampling.rows, self._upsampling.columns
        count = len(logits)
        by_row = logits[:, :, : columns.cells].transpose(0, 1).flatten(1)  # (h, K * w)
        tall = rows.resize(by_row, 0, rows.pixels).unflatten(1, (count, -1))  # (H, K, w)
        by_column = tall.permute(2, 1, 0).flatten(1)  # (w, K * H)
        whole: torch.Tensor = columns.resize(by_column, 0, columns.pixels)
        return whole.view(columns.pixels, count, rows.pixels)

    def _measured(self, logits: torch.Tensor, threshold: float, offset: float) -> torch.Tensor:
        """(K, 7) int64: box, inner, outer, whether the logits are finite."""
        whole = self._whole(logits)
        inner = (whole > threshold + offset).sum((0, 2))
        outer = (whole > threshold - offset).sum((0, 2))
        above = whole > threshold
        y0, y1 = _ends(above.any(0))
        x0, x1 = _ends(above.any(2).T)
        box = torch.stack([x0, y0, x1, y1], 1) * (x1 >= 0)[:, None]
        finite = torch.isfinite(logits.sum((1, 2)))
        return torch.cat([box, torch.stack([inner, outer, finite], 1)], 1)

    def _encoded(self, logits: torch.Tensor, threshold: float) -> list[Rle]:
        """Only where pixels change sides leaves the device: some thousand numbers a mask."""
        above = (self._whole(logits) > threshold).transpose(0, 1)  # (K, W, H)
        (left, top), (height, width) = self._origin, self._image_size
        own_height, own_width = self._upsampling.size_hw
        if (own_height, own_width) != (height, width):
            right, bottom = width - left - own_width, height - top - own_height
            above = F.pad(above, (top, bottom, left, right))
        flat = above.flatten(1)  # column by column, as run lengths go
        changes = torch.cat([flat[:, :1], flat[:, 1:] != flat[:, :-1]], 1)
        places = changes.flatten().nonzero()[:, 0].cpu().numpy()
        pixels = height * width
        starts = np.searchsorted(places, np.arange(len(logits) + 1) * pixels)
        return [
            encode_runs(places[first:last] - number * pixels, (height, width))
            for number, (first, last) in enumerate(itertools.pairwise(starts))
        ]


def _ends(filled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First and last place of each row (K, n) that is filled; the last is -1 for none."""
    places = torch.arange(filled.shape[1], device=filled.device)
    first = torch.where(filled, places, filled.shape[1]).amin(1)
    return first, torch.where(filled, places, -1).amax(1)
