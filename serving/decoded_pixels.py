"""How many pixels of all requests together may be decoded before their turn comes."""

from __future__ import annotations

import threading


class DecodedPixels:
    """Room for images that are decoded ahead, so that the accelerator need not wait for them.

    What finds no room is decoded when its turn comes, one image at a time: memory does not grow
    with the number of requests.

    Args:
        limit: pixels, of RGB images of 3 bytes each.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self._lock = threading.Lock()

    def take(self, pixels: int) -> bool:
        """Reserve room for an image; return whether there is any."""
        with self._lock:
            if self.taken + pixels > self.limit:
                return False
            self.taken += pixels
            return True

    def give(self, pixels: int) -> None:
        """Give back what ``take`` reserved."""
        with self._lock:
            self.taken -= pixels
