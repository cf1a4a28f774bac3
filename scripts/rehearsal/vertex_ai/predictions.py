"""Online predictions: which deployed model gets a request, and what the endpoint lets through."""

from __future__ import annotations

import json
import random

from scripts.rehearsal.vertex_ai.containers.replicas import Replica
from scripts.rehearsal.vertex_ai.containers.running import Key, Running
from scripts.rehearsal.vertex_ai.errors import ApiError
from scripts.rehearsal.vertex_ai.state import Json, State, endpoint_values

LIMIT_BYTES = {True: 10_000_000, False: 1_500_000}  # dedicated or not
TIMEOUT_SECONDS = {True: 3600.0, False: 60.0}


class Predictions:
    """Sends requests to the containers behind endpoints."""

    def __init__(self, state: State, running: Running) -> None:
        self.state, self.running = state, running

    def predict(self, name: str, body: bytes, *, by_dedicated_name: bool) -> tuple[bytes, Json]:
        """Send a request to one of the deployed models, by their shares of the traffic.

        Returns:
            The container's reply, and which deployed model gave it.
        """
        world = self.state.read()
        values = endpoint_values(world, name)
        dedicated = bool(values.get("dedicated_endpoint_enabled"))
        if dedicated and not by_dedicated_name:
            raise ApiError(400, "Dedicated endpoints are reached at their dedicated DNS name.")
        limit = LIMIT_BYTES[dedicated]
        if len(body) > limit:
            raise ApiError(413, f"Request payload size exceeds the limit: {limit} bytes.")
        key, shown, replica = self._choose(name)
        try:
            status, content = replica.predict(body, TIMEOUT_SECONDS[dedicated])
        finally:
            self.running.finished(key)
        if status != 200:
            raise ApiError(status, content.decode("utf-8", errors="replace")[:2000])
        if len(content) > limit:
            raise ApiError(413, f"Response size exceeds the limit: {limit} bytes.")
        return content, shown

    def _choose(self, name: str) -> tuple[Key, Json, Replica]:
        """One of the deployed models by its share of the traffic, counted as busy from now on."""
        with self.running.lock:  # an undeployment takes its replica away under the same lock
            world = self.state.read()
            deployed = world["vertex"]["deployments"].get(name, {})
            split = json.loads(endpoint_values(world, name).get("traffic_split") or "{}")
            shares = {id_: share for id_, share in split.items() if (name, id_) in self.running}
            if not shares or not sum(shares.values()):
                raise ApiError(404, f"Endpoint {name} has no deployed model with traffic.")
            id_ = random.choices(list(shares), weights=list(shares.values()))[0]
            key = (name, id_)
            return key, deployed[id_]["shown"], self.running.begun(key)
