"""How samples of 16 bits become 8: which of their values is black, and which is white."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
from numpy.typing import NDArray

from serving.sam.errors import ImageError, ParameterError

FULL, AUTO = "", "auto"
_HIGHEST = 65535
# Below an eighth of the range nothing is brighter than 31 of 255: such a file holds 10 or 12 bits.
_NEARLY_BLACK = _HIGHEST // 8
_AUTO_SHARES = (0.001, 0.999)  # of the pixels: a few hot or dead ones decide nothing


@dataclasses.dataclass(frozen=True, slots=True)
class SampleWindow:
    """The samples between black and white.

    Attributes:
        text: ``LOW-HIGH``, such as ``0-4095``; ``auto`` for what each image holds; empty for all
            16 bits, where an image that would come out nearly black is refused.

    Raises:
        ParameterError: it is something else.
    """

    text: str = FULL

    def __post_init__(self) -> None:
        if self.text not in (FULL, AUTO):
            self._limits()

    def _limits(self) -> tuple[int, int]:
        match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", self.text)
        low, high = (int(match[1]), int(match[2])) if match else (0, 0)
        if not low < high <= _HIGHEST:
            raise ParameterError(
                f"--window: expected auto or LOW-HIGH with 0 <= LOW < HIGH <= {_HIGHEST}, "
                f"such as 0-4095, got {self.text!r}"
            )
        return low, high

    def table(self, counts: NDArray[np.int64], name: str) -> NDArray[np.uint8]:
        """What each sample from 0 to 65535 becomes.

        Args:
            counts: (65536,), how many of the image's samples have each value.
            name: of the image, for messages.

        Returns:
            (65536,) uint8.

        Raises:
            ImageError: the image would come out nearly black.
        """
        if self.text == FULL:
            brightest = int(counts.nonzero()[0].max(initial=0))
            if 0 < brightest < _NEARLY_BLACK:
                raise ImageError(
                    f"{name}: its samples of 16 bits reach only {brightest} of {_HIGHEST}, so that "
                    "it would be nearly black; say which value is white with --window "
                    f"0-{(1 << brightest.bit_length()) - 1} or --window auto, or stretch them"
                )
            return (np.arange(_HIGHEST + 1) // 257).astype(np.uint8)
        low, high = self._limits() if self.text != AUTO else _held(counts)
        shares = (np.arange(_HIGHEST + 1) - low) / max(high - low, 1)
        return (shares.clip(0, 1) * 255).astype(np.uint8)


def _held(counts: NDArray[np.int64]) -> tuple[int, int]:
    """The samples between which nearly all of an image's lie."""
    sums = counts.cumsum()
    low, high = np.searchsorted(sums, [share * sums[-1] for share in _AUTO_SHARES])
    return int(low), int(high)
