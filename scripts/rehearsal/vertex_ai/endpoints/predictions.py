"""Online predictions: which deployed model gets a request, and what the endpoint lets through."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import Any

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


# "The default request timeout for a dedicated public endpoint is 10 minutes" (page "Create a public
# endpoint"), unless it was set when the endpoint was made.
DEDICATED, SHARED = Limits(10_000_000, 600.0), Limits(1_500_000, 60.0)


def _with_floats(body: bytes) -> bytes:
    """JSON as it comes out of ``google.protobuf.Value``: every number is a double."""

    def convert(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: convert(item) for key, item in value.items()}
        if isinstance(value, list):
            return [convert(item) for item in value]
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value

    try:
        return json.dumps(convert(json.loads(body))).encode()
    except ValueError as error:
        raise ApiError(400, f"Invalid JSON payload received: {error}") from error


class Predictions:
    """Sends requests to the containers behind endpoints."""

    def __init__(self, state: State, running: RunningReplicas) -> None:
        self._state, self._running = state, running

    def predict(
        self, name: str, body: bytes, *, by_dedicated_name: bool, raw: bool = False
    ) -> tuple[bytes, Json]:
        """Send a request to one of the deployed models, by their shares of the traffic.

        Args:
            name: of the endpoint.
            body: of the request.
            by_dedicated_name: whether it came to the endpoint's own name.
            raw: whether bodies are passed on as they are (``rawPredict``). Otherwise a shared
                endpoint reads them into protobuf's values, whose numbers are all floats.

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
        self._meet_a_proxy_that_learns(name)
        key, deployed_model, replica = self._choose(name)
        as_values = not dedicated and not raw
        if as_values:
            body = _with_floats(body)
        try:
            status, content = replica.predict(body, limits.seconds)
        finally:
            self._running.end_request(key)
        if status != 200:
            raise ApiError(status, content.decode("utf-8", errors="replace")[:2000])
        if as_values:
            content = _with_floats(content)
        if len(content) > limits.size:
            raise ApiError(413, f"Response size exceeds the limit: {limits.size} bytes.")
        return content, deployed_model

    def _meet_a_proxy_that_learns(self, name: str) -> None:
        """Refuse the first requests after a deployment or a move of traffic, where asked for.

        Google's proxies learn of them one after the other; ``unsettled`` in the world says how many
        requests meet one that has not.
        """
        if not self._state.read()["vertex"]["unsettled"].get(name):
            return
        with self._state.open() as world:
            left = world["vertex"]["unsettled"]
            left[name] = left.get(name, 0) - 1
        raise ApiError(503, "The service is currently unavailable.")

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
