"""The containers that run now, and how many requests each still has to answer."""

from __future__ import annotations

import threading

from scripts.rehearsal.vertex_ai.containers.replica import Replica

Key = tuple[str, str]  # name of the endpoint, id of the deployed model
DRAIN_SECONDS = 60.0


class RunningReplicas:
    """Containers by endpoint and deployed model.

    Attributes:
        lock: whoever chooses a container or takes one away holds it.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._replicas: dict[Key, Replica] = {}
        self._open_requests: dict[Key, int] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._replicas

    def add(self, key: Key, replica: Replica) -> None:
        """Note a container that was started."""
        with self.lock:
            self._replicas[key] = replica

    def remove(self, key: Key) -> Replica | None:
        """Take a container away: no further request is sent to it."""
        with self.lock:
            return self._replicas.pop(key, None)

    def begin_request(self, key: Key) -> Replica:
        """Count a request that is about to be sent, and return its container."""
        with self.lock:
            self._open_requests[key] = self._open_requests.get(key, 0) + 1
            return self._replicas[key]

    def end_request(self, key: Key) -> None:
        """Count a request as answered."""
        with self.lock:
            self._open_requests[key] -= 1
            self._changed.notify_all()

    def wait_idle(self, key: Key) -> None:
        """Wait until a container has answered all its requests, a minute at most."""
        with self.lock:
            self._changed.wait_for(lambda: not self._open_requests.get(key), timeout=DRAIN_SECONDS)

    def stop(self) -> None:
        """End all containers."""
        with self.lock:
            replicas = list(self._replicas.values())
            self._replicas.clear()
        for replica in replicas:
            replica.stop()
