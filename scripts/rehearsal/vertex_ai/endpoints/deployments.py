"""Deployments: models that an endpoint serves, each with a container."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.rehearsal.api_errors import ApiError, failed_precondition, not_found
from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.vertex_ai.containers.replica import Replica
from scripts.rehearsal.vertex_ai.containers.running_replicas import RunningReplicas
from scripts.rehearsal.vertex_ai.endpoints.provider_values import publish_deployments
from scripts.rehearsal.vertex_ai.endpoints.traffic import check_split, read_split, split_text
from scripts.rehearsal.vertex_ai.machines import (
    accelerator_name,
    check_resources,
    most_accelerators,
)
from scripts.rehearsal.vertex_ai.operations import Operations, response
from scripts.rehearsal.vertex_ai.permissions import NOBODY, Permissions
from scripts.rehearsal.vertex_ai.state import (
    Json,
    State,
    endpoint_values,
    find_model,
    new_id,
    now,
    unsettle,
)

NEW = "0"  # in a split of traffic: the model that is being deployed


class Deployments:
    """Deploys models to endpoints and takes them away.

    Args:
        state: the world.
        operations: all of these calls are long-running.
        running: the containers, which predictions choose from.
        permissions: who may make a container act as which account.
        logs: folder of their logs.
    """

    def __init__(
        self,
        state: State,
        operations: Operations,
        running: RunningReplicas,
        permissions: Permissions,
        logs: Path,
    ) -> None:
        self._state, self._operations = state, operations
        self._running, self._permissions, self._logs = running, permissions, logs

    def deploy(self, name: str, body: Json, caller: str) -> Json:
        """``deployModel``: start a container; its traffic begins when it is healthy.

        Args:
            name: of the endpoint.
            body: the request.
            caller: who asks; he must be allowed to act as the container's account.
        """
        request = body.get("deployedModel") or {}
        split = body.get("trafficSplit") or {}
        account = str(request.get("serviceAccount", ""))
        self._permissions.require_act_as(caller, account)
        with self._state.open() as world:
            endpoint_values(world, name)
            model, version = find_model(world, str(request.get("model", "")))
            check_resources(request.get("dedicatedResources") or {}, world)
            _check_account(account, world)
            deployments = world["vertex"]["deployments"].setdefault(name, {})
            id_ = str(request.get("id") or new_id(10))
            if not re.fullmatch(r"\d{1,10}", id_) or id_ in deployments:
                raise ApiError(400, f"DeployedModel id {id_!r} is invalid or used.")
            if split:
                check_split(split, {NEW, *deployments})
            if request["model"].split("/")[3] != name.split("/")[3]:
                raise ApiError(400, "Model and endpoint must be in the same region.")
            content = model["versions"][version]
            deployed_model = {
                **request,
                "id": id_,
                "model": request["model"].partition("@")[0],
                "modelVersionId": version,
                "displayName": request.get("displayName") or content["displayName"],
                "createTime": now(),
            }
            deployments[id_] = {
                "model": deployed_model["model"],
                "version": version,
                "shown": deployed_model,
                "ready": False,
                "gpus": most_accelerators(request["dedicatedResources"]),
            }

        def work() -> Json:
            return self._start(name, id_, content, split)

        return self._operations.start(
            name,
            "DeployModelOperationMetadata",
            work,
            undo=lambda: self._forget(name, id_),
            end=lambda: self._end(name, id_),
        )

    def _start(self, name: str, id_: str, content: Json, split: Json) -> Json:
        try:
            with self._state.open() as world:
                shown = world["vertex"]["deployments"][name][id_]["shown"]
            account = str(shown.get("serviceAccount", ""))
            self._permissions.require_administered(account, name.split("/")[1])
            self._launch(name, id_, content).wait_ready()
        except BaseException:
            self._forget(name, id_)
            raise
        with self._state.open() as world:
            values = endpoint_values(world, name)
            deployment = world["vertex"]["deployments"][name][id_]
            deployment["ready"] = True
            unsettle(world, name)
            if split:
                values["traffic_split"] = split_text(
                    {id_ if key == NEW else key: share for key, share in split.items()}
                )
            elif not values.get("traffic_split"):
                values["traffic_split"] = split_text({id_: 100})
            publish_deployments(world, name)
            return response("DeployModelResponse", {"deployedModel": deployment["shown"]})

    def _launch(self, name: str, id_: str, content: Json) -> Replica:
        _, project, _, _, _, endpoint = name.split("/")
        with self._state.open() as world:
            shown = world["vertex"]["deployments"][name][id_]["shown"]
        machine = shown["dedicatedResources"]["machineSpec"]
        extra = {
            "AIP_MACHINE_TYPE": machine.get("machineType", ""),
            "AIP_ACCELERATOR_TYPE": accelerator_name(machine),
            "AIP_ENDPOINT_ID": endpoint,
            "AIP_DEPLOYED_MODEL_ID": id_,
            "AIP_PROJECT_NUMBER": project_number(project),
        }
        replica = Replica(
            content,
            self._logs / f"{endpoint}-{id_}.log",
            extra,
            account=shown.get("serviceAccount") or NOBODY,
        )
        self._running.add((name, id_), replica)
        return replica

    def _end(self, name: str, id_: str) -> None:
        """End the container of a deployment that is cancelled, which fails it."""
        replica = self._running.remove((name, id_))
        if replica is not None:
            replica.stop()

    def _forget(self, name: str, id_: str) -> None:
        """Take back the note of a deployment that failed."""
        with self._state.open() as world:
            _remove(world, name, id_)
        self._running.remove((name, id_))

    def undeploy(self, name: str, body: Json) -> Json:
        """``undeployModel``: send no more requests, then end the container."""
        id_ = str(body.get("deployedModelId", ""))
        with self._state.open() as world:
            values = endpoint_values(world, name)
            deployments = world["vertex"]["deployments"].get(name, {})
            if id_ not in deployments:
                raise not_found(f"{name} DeployedModel {id_}")
            split = read_split(values)
            new_split = body.get("trafficSplit") or {}
            if new_split:
                check_split(new_split, set(deployments) - {id_})
            elif split.get(id_) and len(deployments) > 1:
                raise failed_precondition(
                    f"DeployedModel {id_} still gets {split[id_]} % of the traffic."
                )

        def work() -> Json:
            with self._running.lock:  # no prediction chooses it between these two
                with self._state.open() as world:
                    _remove(world, name, id_)
                    values = endpoint_values(world, name)
                    rest = {k: share for k, share in read_split(values).items() if k != id_}
                    values["traffic_split"] = split_text(new_split or rest)
                    publish_deployments(world, name)
                replica = self._running.remove((name, id_))
            if replica is not None:
                self._running.wait_idle((name, id_))
                replica.stop()
            return response("UndeployModelResponse", {})

        return self._operations.start(name, "UndeployModelOperationMetadata", work)

    def mutate(self, name: str, body: Json) -> Json:
        """``mutateDeployedModel``: change bounds and targets of scaling."""
        request = body.get("deployedModel") or {}
        id_ = str(request.get("id", ""))
        with self._state.open() as world:
            if id_ not in world["vertex"]["deployments"].get(name, {}):
                raise not_found(f"{name} DeployedModel {id_}")

        def work() -> Json:
            with self._state.open() as world:
                deployed_model = world["vertex"]["deployments"][name][id_]["shown"]
                changes = request.get("dedicatedResources") or {}
                for key in ("minReplicaCount", "maxReplicaCount", "autoscalingMetricSpecs"):
                    if key in changes:
                        deployed_model["dedicatedResources"][key] = changes[key]
                publish_deployments(world, name)
                return response("MutateDeployedModelResponse", {"deployedModel": deployed_model})

        return self._operations.start(name, "MutateDeployedModelOperationMetadata", work)

    def restart(self) -> None:
        """Start the containers of what was deployed when the stand-in ended."""
        world = self._state.read()
        for name, deployments in world["vertex"]["deployments"].items():
            for id_, deployment in deployments.items():
                model = world["vertex"]["models"][deployment["model"]]
                if deployment["ready"]:
                    self._launch(name, id_, model["versions"][deployment["version"]])
                else:
                    with self._state.open() as current:
                        current["vertex"]["deployments"][name].pop(id_, None)

    def stop(self) -> None:
        """End all containers; what is deployed stays in the world."""
        self._running.stop()


def _remove(world: Json, name: str, id_: str) -> None:
    deployments = world["vertex"]["deployments"].get(name, {})
    deployments.pop(id_, None)
    if not deployments:
        world["vertex"]["deployments"].pop(name, None)


def _check_account(email: str, world: Json) -> None:
    """Refuse a service account that does not exist."""
    accounts = world["resources"].get("google_service_account", {})
    if email and accounts and not any(email in str(id_) for id_ in accounts):
        raise ApiError(400, f"Service account {email} does not exist.")
