"""How long work takes on this machine, measured while it serves.

With these times the server refuses at once a request that it could not finish in time.
"""

from __future__ import annotations

import dataclasses
import threading

from serving.sam.automatic_settings import AutomaticSettings

_NEW_WEIGHT = 0.2  # of a new measurement in the running mean


def grid_points(settings: AutomaticSettings) -> tuple[int, int]:
    """Return how many crops and points the automatic generator visits with these settings."""
    crops = points = 0
    for layer in range(settings.crop_n_layers + 1):
        count = 4**layer
        if settings.point_grids is not None:
            each = len(settings.point_grids[layer])
        else:
            side = (settings.points_per_side or 0) / settings.crop_n_points_downscale_factor**layer
            each = int(side) ** 2
        crops += count
        points += count * each
    return crops, points


@dataclasses.dataclass(slots=True)
class WorkTimes:
    """Running means, in seconds.

    Attributes:
        embedding: to embed one image.
        prompt: to decode one prompted object.
        point: to decode one point of the automatic grid.
    """

    embedding: float = 0.0
    prompt: float = 0.0
    point: float = 0.0
    _lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, repr=False)

    def observe(self, name: str, seconds: float, count: int = 1) -> None:
        """Add a measurement of ``count`` pieces of work to the mean."""
        if count < 1:
            return
        with self._lock:
            earlier, latest = getattr(self, name), seconds / count
            mean = latest if earlier == 0 else earlier + _NEW_WEIGHT * (latest - earlier)
            setattr(self, name, mean)

    def prompted(self, objects: int, *, cached: bool) -> float:
        """Estimate the seconds that prompts on one image take."""
        return objects * self.prompt + (0.0 if cached else self.embedding)

    def automatic(self, settings: AutomaticSettings) -> float:
        """Estimate the seconds that automatic masks of one image take."""
        crops, points = grid_points(settings)
        return crops * self.embedding + points * self.point
