"""Endpoints: deploy, undeploy, traffic, predictions."""

from __future__ import annotations

import json
import re
from pathlib import Path

from scripts.rehearsal.vertex_ai.containers.replicas import Replica
from scripts.rehearsal.vertex_ai.containers.running import Running
from scripts.rehearsal.vertex_ai.deployments import (
    check_account,
    check_resources,
    for_provider,
    gpus,
    named_accelerator,
    split_text,
)
from scripts.rehearsal.vertex_ai.errors import ApiError, not_found, precondition
from scripts.rehearsal.vertex_ai.operations import EMPTY_RESPONSE, Operations, response
from scripts.rehearsal.vertex_ai.state import (
    ENDPOINT,
    Json,
    State,
    endpoint_values,
    find_model,
    new_id,
    now,
    number_of,
)

ENDPOINT_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9]\d{0,9}")


class Endpoints:
    """Endpoints of the world, and the containers behind them."""

    def __init__(self, state: State, operations: Operations, logs: Path) -> None:
        self.state, self.operations, self._logs = state, operations, logs
        self.running = Running()

    def shown(self, world: Json, name: str) -> Json:
        """An endpoint as the service shows it."""
        values = endpoint_values(world, name)
        deployed = world["vertex"]["deployments"].get(name, {})
        split = json.loads(values.get("traffic_split") or "{}")
        dedicated = bool(values.get("dedicated_endpoint_enabled"))
        shown: Json = {
            "name": name,
            "displayName": values.get("display_name", ""),
            "description": values.get("description") or "",
            "labels": values.get("effective_labels") or values.get("labels") or {},
            "createTime": values.get("create_time") or now(),
            "updateTime": values.get("update_time") or now(),
            "etag": values.get("etag") or "",
            "trafficSplit": split,
            "deployedModels": [one["shown"] for one in deployed.values() if one["ready"]],
            "dedicatedEndpointEnabled": dedicated,
        }
        if dedicated:
            shown["dedicatedEndpointDns"] = self.state.dedicated_dns()
        return shown

    def create(self, parent: str, query: Json, body: Json) -> Json:
        """A new endpoint, as the SDK makes one; Terraform's come from the provider."""
        id_ = str(query.get("endpointId") or new_id())
        if not ENDPOINT_ID.fullmatch(id_) and not id_.isdigit():
            raise ApiError(400, f"Endpoint id {id_!r} is invalid.")
        if not body.get("displayName"):
            raise ApiError(400, "display_name is required.")
        name = f"{parent}/endpoints/{id_}"
        project, region = parent.split("/")[1], parent.split("/")[3]
        dedicated = bool(body.get("dedicatedEndpointEnabled"))
        host = f"{id_}.{region}-{number_of(project)}.prediction.vertexai.goog"
        with self.state.open() as world:
            if name in world["resources"].get(ENDPOINT, {}):
                raise ApiError(409, f"Endpoint {name} already exists.")

        def work() -> Json:
            with self.state.open() as world:
                world["resources"].setdefault(ENDPOINT, {})[name] = {
                    "id": name,
                    "name": id_,
                    "project": project,
                    "location": region,
                    "display_name": body["displayName"],
                    "labels": body.get("labels", {}),
                    "create_time": now(),
                    "dedicated_endpoint_enabled": dedicated,
                    "dedicated_endpoint_dns": f"https://{host}" if dedicated else "",
                    "deployed_models": [],
                    "traffic_split": "",
                }
                return response("Endpoint", self.shown(world, name))

        return self.operations.start(name, "CreateEndpointOperationMetadata", work)

    def get(self, name: str) -> Json:
        """One endpoint."""
        return self.shown(self.state.read(), name)

    def list_endpoints(self, parent: str, query: Json) -> Json:
        """All endpoints of a region, or those of a display name."""
        world = self.state.read()
        names = sorted(world["resources"].get(ENDPOINT, {}))
        found = [self.shown(world, name) for name in names if name.startswith(f"{parent}/")]
        wanted = re.fullmatch(r'display_name\s*=\s*"?([^"]*)"?', str(query.get("filter", "")))
        return {"endpoints": [e for e in found if not wanted or e["displayName"] == wanted[1]]}

    def update(self, name: str, body: Json) -> Json:
        """Change labels, description or the split of traffic."""
        with self.state.open() as world:
            values = endpoint_values(world, name)
            if "trafficSplit" in body:
                deployed = world["vertex"]["deployments"].get(name, {})
                self._check_split(body["trafficSplit"], set(deployed))
                values["traffic_split"] = split_text(body["trafficSplit"])
            for field, key in (("displayName", "display_name"), ("description", "description")):
                if field in body:
                    values[key] = body[field]
            return self.shown(world, name)

    def delete(self, name: str) -> Json:
        """Refused while anything is deployed."""
        with self.state.open() as world:
            endpoint_values(world, name)
            if world["vertex"]["deployments"].get(name):
                raise precondition(
                    f"Endpoint {name} has deployed or being-deployed DeployedModel(s)."
                )

        def work() -> Json:
            with self.state.open() as world:
                world["resources"][ENDPOINT].pop(name, None)
            return EMPTY_RESPONSE

        return self.operations.start(name, "DeleteOperationMetadata", work)

    @staticmethod
    def _check_split(split: Json, known: set[str]) -> None:
        shares = {key: int(value) for key, value in split.items()}
        if any(share < 0 for share in shares.values()) or sum(shares.values()) != 100:
            raise ApiError(400, f"The sum of traffic_split must be 100, got {split}.")
        unknown = set(shares) - known
        if unknown:
            raise ApiError(400, f"Traffic split names deployed models that are not: {unknown}.")

    def deploy(self, name: str, body: Json) -> Json:
        """``deployModel``: starts the container; its traffic begins when it is healthy."""
        asked = body.get("deployedModel") or {}
        split = body.get("trafficSplit") or {}
        with self.state.open() as world:
            values = endpoint_values(world, name)
            model, version = find_model(world, str(asked.get("model", "")))
            check_resources(asked.get("dedicatedResources") or {}, world)
            check_account(str(asked.get("serviceAccount", "")), world)
            others = world["vertex"]["deployments"].setdefault(name, {})
            id_ = str(asked.get("id") or new_id(10))
            if not re.fullmatch(r"\d{1,10}", id_) or id_ in others:
                raise ApiError(400, f"DeployedModel id {id_!r} is invalid or used.")
            if split:
                self._check_split(split, {"0", *others})
            region = name.split("/")[3]
            if asked["model"].split("/")[3] != region:
                raise ApiError(400, "Model and endpoint must be in the same region.")
            content = model["versions"][version]
            shown = {
                **asked,
                "id": id_,
                "model": asked["model"].partition("@")[0],
                "modelVersionId": version,
                "displayName": asked.get("displayName") or content["displayName"],
                "createTime": now(),
            }
            others[id_] = {
                "model": shown["model"],
                "version": version,
                "shown": shown,
                "ready": False,
                "gpus": gpus(asked["dedicatedResources"]),
            }
            dedicated = bool(values.get("dedicated_endpoint_enabled"))

        def work() -> Json:
            return self._start(name, id_, content, split, dedicated)

        return self.operations.start(
            name, "DeployModelOperationMetadata", work, lambda: self._forget(name, id_)
        )

    def _forget(self, name: str, id_: str) -> None:
        """A deployment that did not come to be."""
        with self.state.open() as world:
            deployed = world["vertex"]["deployments"].get(name, {})
            deployed.pop(id_, None)
            if not deployed:
                world["vertex"]["deployments"].pop(name, None)
        self.running.remove((name, id_))

    def _start(self, name: str, id_: str, content: Json, split: Json, dedicated: bool) -> Json:
        try:
            replica = self._launch(name, id_, content)
            replica.wait_ready()
        except BaseException:
            self._forget(name, id_)
            raise
        with self.state.open() as world:
            values = endpoint_values(world, name)
            one = world["vertex"]["deployments"][name][id_]
            one["ready"] = True
            shares = {id_ if key == "0" else key: int(value) for key, value in split.items()}
            if shares:
                values["traffic_split"] = split_text(shares)
            elif not values.get("traffic_split"):
                values["traffic_split"] = split_text({id_: 100})
            self._publish(world, name)
            return response("DeployModelResponse", {"deployedModel": one["shown"]})

    def _launch(self, name: str, id_: str, content: Json) -> Replica:
        project, endpoint = name.split("/")[1], name.rpartition("/")[2]
        with self.state.open() as world:
            resources = world["vertex"]["deployments"][name][id_]["shown"]["dedicatedResources"]
        machine = resources["machineSpec"]
        extra = {
            "AIP_MACHINE_TYPE": machine.get("machineType", ""),
            "AIP_ACCELERATOR_TYPE": named_accelerator(machine),
            "AIP_ENDPOINT_ID": endpoint,
            "AIP_DEPLOYED_MODEL_ID": id_,
            "AIP_PROJECT_NUMBER": number_of(project),
        }
        replica = Replica(content, self._logs / f"{endpoint}-{id_}.log", extra)
        self.running.add((name, id_), replica)
        return replica

    def _publish(self, world: Json, name: str) -> None:
        """Show what is deployed in the provider's resource, as a refresh would see it."""
        deployed = world["vertex"]["deployments"].get(name, {}).values()
        endpoint_values(world, name)["deployed_models"] = [
            for_provider(one["shown"]) for one in deployed if one["ready"]
        ]

    def undeploy(self, name: str, body: Json) -> Json:
        """``undeployModel``: no more requests, then the container ends."""
        id_ = str(body.get("deployedModelId", ""))
        with self.state.open() as world:
            values = endpoint_values(world, name)
            deployed = world["vertex"]["deployments"].get(name, {})
            if id_ not in deployed:
                raise not_found(f"{name} DeployedModel {id_}")
            split = json.loads(values.get("traffic_split") or "{}")
            new = body.get("trafficSplit") or {}
            if new:
                self._check_split(new, set(deployed) - {id_})
            elif split.get(id_) and len(deployed) > 1:
                raise precondition(f"DeployedModel {id_} still gets {split[id_]} % of the traffic.")

        def work() -> Json:
            with self.running.lock:  # nothing is sent to it between these two
                with self.state.open() as world:
                    deployed = world["vertex"]["deployments"].get(name, {})
                    deployed.pop(id_, None)
                    if not deployed:
                        world["vertex"]["deployments"].pop(name, None)
                    values = endpoint_values(world, name)
                    current = json.loads(values.get("traffic_split") or "{}")
                    rest = new or {key: value for key, value in current.items() if key != id_}
                    values["traffic_split"] = split_text(rest)
                    self._publish(world, name)
                replica = self.running.remove((name, id_))
            if replica is not None:
                self.running.wait_idle((name, id_))
                replica.stop()
            return response("UndeployModelResponse", {})

        return self.operations.start(name, "UndeployModelOperationMetadata", work)

    def mutate(self, name: str, body: Json) -> Json:
        """``mutateDeployedModel``: bounds and targets of scaling."""
        asked = body.get("deployedModel") or {}
        id_ = str(asked.get("id", ""))
        with self.state.open() as world:
            deployed = world["vertex"]["deployments"].get(name, {})
            if id_ not in deployed:
                raise not_found(f"{name} DeployedModel {id_}")

        def work() -> Json:
            with self.state.open() as world:
                one = world["vertex"]["deployments"][name][id_]
                changes = asked.get("dedicatedResources") or {}
                for key in ("minReplicaCount", "maxReplicaCount", "autoscalingMetricSpecs"):
                    if key in changes:
                        one["shown"]["dedicatedResources"][key] = changes[key]
                self._publish(world, name)
                shown = {"deployedModel": one["shown"]}
                return response("MutateDeployedModelResponse", shown)

        return self.operations.start(name, "MutateDeployedModelOperationMetadata", work)

    def restart(self) -> None:
        """Start the containers of what was deployed when the stand-in ended."""
        world = self.state.read()
        for name, deployed in world["vertex"]["deployments"].items():
            for id_, one in list(deployed.items()):
                model = world["vertex"]["models"][one["model"]]
                if one["ready"]:
                    self._launch(name, id_, model["versions"][one["version"]])
                else:
                    with self.state.open() as current:
                        current["vertex"]["deployments"][name].pop(id_, None)

    def stop(self) -> None:
        """End all containers; what is deployed stays known."""
        self.running.stop()
