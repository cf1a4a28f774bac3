"""Online predictions: which deployed model gets a request, and what the endpoint lets through."""

from __future__ import annotations

import dataclasses
import random

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.vertex_ai.containers.replica import Replica
from scripts.rehearsal.vertex_ai.containers.running_replicas import Key, RunningReplicas
from scripts.rehearsal.vertex_ai.endpoints.traffic import read_split
from scripts.rehearsal.vertex_ai.state import Json, State, endpoint_values


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Limits of an endpoint.

    Attributes:
        size: bytes of a request, and of a response.
        seconds: until a prediction must have answered.
    """

    size: int
    seconds: float


DEDICATED, SHARED = Limits(10_000_000, 3600.0), Limits(1_500_000, 60.0)


class Predictions:
    """Sends requests to the containers behind endpoints."""

    def __init__(self, state: State, running: RunningReplicas) -> None:
        self._state, self._running = state, running

    def predict(self, name: str, body: bytes, *, by_dedicated_name: bool) -> tuple[bytes, Json]:
        """Send a request to one of the deployed models, by their shares of the traffic.

        Returns:
            The container's reply, and the deployed model that gave it.

        Raises:
            ApiError: too large, the wrong name of the endpoint, nothing deployed, or what the
                container answered other than 200.
        """
        values = endpoint_values(self._state.read(), name)
        dedicated = bool(values.get("dedicated_endpoint_enabled"))
        if dedicated and not by_dedicated_name:
            raise ApiError(400, "Dedicated endpoints are reached at their dedicated DNS name.")
        limits = DEDICATED if dedicated else SHARED
        if len(body) > limits.size:
            raise ApiError(413, f"Request payload size exceeds the limit: {limits.size} bytes.")
        key, deployed_model, replica = self._choose(name)
        try:
            status, content = replica.predict(body, limits.seconds)
        finally:
            self._running.end_request(key)
        if status != 200:
            raise ApiError(status, content.decode("utf-8", errors="replace")[:2000])
        if len(content) > limits.size:
            raise ApiError(413, f"Response size exceeds the limit: {limits.size} bytes.")
        return content, deployed_model

    def _choose(self, name: str) -> tuple[Key, Json, Replica]:
        """Choose a deployed model by its share of the traffic, and count the request as open."""
        with self._running.lock:  # an undeployment takes its replica away under the same lock
            world = self._state.read()
            deployments = world["vertex"]["deployments"].get(name, {})
            split = read_split(endpoint_values(world, name))
            shares = {id_: share for id_, share in split.items() if (name, id_) in self._running}
            if not shares or not sum(shares.values()):
                raise ApiError(404, f"Endpoint {name} has no deployed model with traffic.")
            id_ = random.choices(list(shares), weights=list(shares.values()))[0]
            key = (name, id_)
            return key, deployments[id_]["shown"], self._running.begin_request(key)
