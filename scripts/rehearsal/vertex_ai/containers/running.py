"""The containers that run now, and how many requests each has in hand."""

from __future__ import annotations

import threading

from scripts.rehearsal.vertex_ai.containers.replicas import Replica

Key = tuple[str, str]  # endpoint and deployed model
DRAIN_SECONDS = 60.0


class Running:
    """Containers by endpoint and deployed model.

    Attributes:
        lock: held by whoever chooses a container or takes one away.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._replicas: dict[Key, Replica] = {}
        self._busy: dict[Key, int] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._replicas

    def add(self, key: Key, replica: Replica) -> None:
        """A container that was started."""
        with self.lock:
            self._replicas[key] = replica

    def remove(self, key: Key) -> Replica | None:
        """Send nothing more to a container."""
        with self.lock:
            return self._replicas.pop(key, None)

    def begun(self, key: Key) -> Replica:
        """A request is on its way to a container."""
        with self.lock:
            self._busy[key] = self._busy.get(key, 0) + 1
            return self._replicas[key]

    def finished(self, key: Key) -> None:
        """A request has its answer."""
        with self.lock:
            self._busy[key] -= 1
            self._changed.notify_all()

    def wait_idle(self, key: Key) -> None:
        """Wait until a container has nothing in hand, a minute at most."""
        with self.lock:
            self._changed.wait_for(lambda: not self._busy.get(key), timeout=DRAIN_SECONDS)

    def stop(self) -> None:
        """End all containers."""
        with self.lock:
            replicas = list(self._replicas.values())
            self._replicas.clear()
        for replica in replicas:
            replica.stop()
