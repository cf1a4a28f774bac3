"""Endpoints as resources: created, listed, changed and deleted."""

from __future__ import annotations

import re

from scripts.rehearsal.api_errors import ApiError, failed_precondition
from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.vertex_ai.endpoints.traffic import check_split, read_split, split_text
from scripts.rehearsal.vertex_ai.operations import EMPTY_RESPONSE, Operations, response
from scripts.rehearsal.vertex_ai.state import (
    ENDPOINT,
    Json,
    State,
    endpoint_values,
    new_id,
    now,
    unsettle,
)

ENDPOINT_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9]\d{0,9}")


class Endpoints:
    """The endpoints of the world, which are resources of the Terraform provider as well."""

    def __init__(self, state: State, operations: Operations) -> None:
        self._state, self._operations = state, operations

    def _representation(self, world: Json, name: str) -> Json:
        """An endpoint as the service shows it."""
        values = endpoint_values(world, name)
        deployments = world["vertex"]["deployments"].get(name, {}).values()
        dedicated = bool(values.get("dedicated_endpoint_enabled"))
        endpoint: Json = {
            "name": name,
            "displayName": values.get("display_name", ""),
            "description": values.get("description") or "",
            "labels": values.get("effective_labels") or values.get("labels") or {},
            "createTime": values.get("create_time") or now(),
            "updateTime": values.get("update_time") or now(),
            "etag": values.get("etag") or "",
            "trafficSplit": read_split(values),
            "deployedModels": [item["shown"] for item in deployments if item["ready"]],
            "dedicatedEndpointEnabled": dedicated,
        }
        if dedicated:
            endpoint["dedicatedEndpointDns"] = self._state.dedicated_dns()
        return endpoint

    def create(self, parent: str, endpoint_id: str, body: Json) -> Json:
        """A new endpoint, as the SDK makes one; Terraform's come from the provider.

        Args:
            parent: ``projects/.../locations/...``.
            endpoint_id: its id; empty for a new number.
            body: its representation.
        """
        id_ = endpoint_id or new_id()
        if not ENDPOINT_ID.fullmatch(id_) and not id_.isdigit():
            raise ApiError(400, f"Endpoint id {id_!r} is invalid.")
        if not body.get("displayName"):
            raise ApiError(400, "display_name is required.")
        name = f"{parent}/endpoints/{id_}"
        _, project, _, region = parent.split("/")
        dedicated = bool(body.get("dedicatedEndpointEnabled"))
        host = f"{id_}.{region}-{project_number(project)}.prediction.vertexai.goog"
        with self._state.open() as world:
            if name in world["resources"].get(ENDPOINT, {}):
                raise ApiError(409, f"Endpoint {name} already exists.")

        def work() -> Json:
            with self._state.open() as world:
                world["resources"].setdefault(ENDPOINT, {})[name] = {
                    "id": name,
                    "name": id_,
                    "project": project,
                    "location": region,
                    "display_name": body["displayName"],
                    "labels": body.get("labels", {}),
                    "create_time": now(),
                    "dedicated_endpoint_enabled": dedicated,
                    "dedicated_endpoint_dns": host if dedicated else "",
                    "deployed_models": [],
                    "traffic_split": "",
                }
                return response("Endpoint", self._representation(world, name))

        return self._operations.start(name, "CreateEndpointOperationMetadata", work)

    def get(self, name: str) -> Json:
        """One endpoint."""
        return self._representation(self._state.read(), name)

    def list_endpoints(self, parent: str, condition: str) -> Json:
        """All endpoints of a region, or those that a filter such as ``display_name=x`` leaves."""
        world = self._state.read()
        names = sorted(world["resources"].get(ENDPOINT, {}))
        endpoints = [
            self._representation(world, name) for name in names if name.startswith(f"{parent}/")
        ]
        match = re.fullmatch(r'display_name\s*=\s*"?([^"]*)"?', condition)
        if match:
            endpoints = [item for item in endpoints if item["displayName"] == match[1]]
        return {"endpoints": endpoints}

    def update(self, name: str, body: Json) -> Json:
        """Change the name that is shown, the description or the split of traffic."""
        with self._state.open() as world:
            values = endpoint_values(world, name)
            if "trafficSplit" in body:
                deployments = world["vertex"]["deployments"].get(name, {})
                check_split(body["trafficSplit"], set(deployments))
                values["traffic_split"] = split_text(body["trafficSplit"])
                unsettle(world, name)
            for field, key in (("displayName", "display_name"), ("description", "description")):
                if field in body:
                    values[key] = body[field]
            return self._representation(world, name)

    def delete(self, name: str) -> Json:
        """Delete an endpoint; refused while anything is deployed to it."""
        with self._state.open() as world:
            endpoint_values(world, name)
            if world["vertex"]["deployments"].get(name):
                raise failed_precondition(
                    f"Endpoint {name} has deployed or being-deployed DeployedModel(s)."
                )

        def work() -> Json:
            with self._state.open() as world:
                world["resources"][ENDPOINT].pop(name, None)
            return EMPTY_RESPONSE

        return self._operations.start(name, "DeleteOperationMetadata", work)
