"""What Vertex knows, kept in the world that the Terraform provider's stand-in uses as well.

An endpoint is a resource of the provider; models, deployments, operations and jobs lie under
``world["vertex"]``.
"""

from __future__ import annotations

import contextlib
import datetime
import random
import threading
from collections.abc import Iterator
from typing import Any

from scripts.rehearsal.api_errors import not_found
from scripts.rehearsal.google_provider.world import World

ENDPOINT = "google_vertex_ai_endpoint"
Json = dict[str, Any]
EMPTY: Json = {
    "models": {},
    "deployments": {},
    "jobs": {},
    "pipelines": {},
    "custom_jobs": {},
    "operations": {},
    "faults": [],
    "unsettled": {},
}


def now() -> str:
    """The time in the service's form, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def new_id(digits: int = 19) -> str:
    """A new id as the service makes them: digits without leading zero."""
    return str(random.randrange(10 ** (digits - 1), 10**digits))


class State:
    """Vertex's part of the world.

    Attributes:
        world: the file.
        origin: ``https://host:port`` at which dedicated endpoints answer.
    """

    def __init__(self, world: World, origin: str) -> None:
        self.world = world
        self.origin = origin
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def open(self) -> Iterator[Json]:
        """The whole world with its ``["vertex"]``; nobody else changes it until the block ends."""
        with self._lock, self.world.open() as world:
            vertex = world.setdefault("vertex", {})
            for key, empty in EMPTY.items():
                vertex.setdefault(key, type(empty)())
            yield world

    def read(self) -> Json:
        """The whole world as it is now, to look at."""
        world = self.world.read()
        world["vertex"] = {**EMPTY, **world.get("vertex", {})}
        return world

    def dedicated_dns(self) -> str:
        """Host and port of every dedicated endpoint here; a real one has its own name."""
        return self.origin.removeprefix("https://")


def endpoint_values(world: Json, name: str) -> Json:
    """The provider's values of an endpoint.

    Raises:
        ApiError: 404.
    """
    values: Json | None = world["resources"].get(ENDPOINT, {}).get(name)
    if values is None:
        raise not_found(name)
    return values


def unsettle(world: Json, name: str) -> None:
    """Let the next requests to an endpoint meet a proxy that does not know of a change.

    Args:
        world: contents; ``unsettled_requests`` in it says how many, none where it is missing.
        name: of the endpoint that has changed.
    """
    world["vertex"]["unsettled"][name] = int(world.get("unsettled_requests", 0))


def find_model(world: Json, name: str) -> tuple[Json, str]:
    """A model and the number of one of its versions, by ``.../models/ID[@version or alias]``.

    Raises:
        ApiError: 404.
    """
    base, _, version_or_alias = name.partition("@")
    model: Json | None = world["vertex"]["models"].get(base)
    if model is None:
        raise not_found(name)
    if version_or_alias in model["versions"]:
        return model, version_or_alias
    for version, content in model["versions"].items():
        if (version_or_alias or "default") in content["versionAliases"]:
            return model, version
    raise not_found(name)
