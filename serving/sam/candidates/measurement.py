"""What is known of a mask at the image's size without its bitmap."""

from __future__ import annotations

import dataclasses

Box = tuple[int, int, int, int]  # XYXY


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """A mask at the image's size, without its bitmap, which is made again for those that stay.

    Attributes:
        box_xyxy: of its pixels, the last inside; zeros for an empty mask, as the official code.
        inner, outer: pixels above the threshold moved up and down.
    """

    box_xyxy: Box
    inner: int
    outer: int

    @property
    def stability(self) -> float:
        """IoU of the mask under the two thresholds, 0-1; 0 where both are empty.

        There the official code has NaN, which JSON cannot hold.
        """
        return self.inner / self.outer if self.outer else 0.0
