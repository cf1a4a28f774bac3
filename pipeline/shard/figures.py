"""What a shard took: seconds of each stage, how busy the network was, memory."""

from __future__ import annotations

import dataclasses
import resource
import sys
import time
from typing import Any


class Stopwatch:
    """Counts the seconds of each stage of an image, without the waiting between stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def start(self) -> None:
        """Begin a stage now."""
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """End a stage and begin the next."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())


@dataclasses.dataclass(slots=True)
class ShardFigures:
    """What one shard took.

    Attributes:
        load_seconds: until its network was ready.
        wall_seconds: from its first image to its last.
        busy_seconds: of these, how long the network computed.
        redrawn: images whose masks were there already, so that only their pictures were made.
        restarts: how often its process died.
        machine: what it computed on, as ``describe_device`` says, and in which ``precision``.
        started: when its process began to load, seconds since 1970.
    """

    load_seconds: float = 0.0
    wall_seconds: float = 0.0
    busy_seconds: float = 0.0
    redrawn: int = 0
    restarts: int = 0
    machine: dict[str, str] = dataclasses.field(default_factory=dict)
    started: float = dataclasses.field(default_factory=time.time)

    def to_json(self) -> dict[str, Any]:
        """The figures, with the process's peak of resident memory."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "load_seconds": round(self.load_seconds, 3),
            "wall_seconds": round(self.wall_seconds, 3),
            "busy_seconds": round(self.busy_seconds, 3),
            "peak_memory_bytes": peak if sys.platform == "darwin" else peak * 1024,
            "redrawn": self.redrawn,
            "restarts": self.restarts,
            "machine": self.machine,
            "started": round(self.started, 3),
            "ended": round(time.time(), 3),
        }
