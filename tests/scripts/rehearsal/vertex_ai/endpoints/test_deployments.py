"""Deployments: what Vertex AI refuses, their containers, and how traffic moves among them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.stand_ins.vertex import ENDPOINT, MACHINE, Vertex


def test_containers_get_the_variables_that_vertex_sets(vertex: Vertex) -> None:
    names = [
        "AIP_MODE", "AIP_MODE_VERSION", "AIP_FRAMEWORK", "AIP_MACHINE_TYPE", "AIP_ENDPOINT_ID",
        "AIP_ACCELERATOR_TYPE", "AIP_DEPLOYED_MODEL_ID", "AIP_HEALTH_ROUTE", "MINE",
    ]  # fmt: skip
    id_ = vertex.deployed(vertex.uploaded(env=[{"name": "MINE", "value": "1"}]))
    reply = vertex.predict("x", tell=names).json()
    prediction = reply["predictions"][0]
    assert prediction == {
        "echo": "x", "AIP_MODE": "PREDICTION", "AIP_MODE_VERSION": "1.0.0",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER", "AIP_MACHINE_TYPE": "n1-standard-4",
        "AIP_ENDPOINT_ID": "sam", "AIP_ACCELERATOR_TYPE": "NVIDIA_TESLA_T4",
        "AIP_DEPLOYED_MODEL_ID": id_, "AIP_HEALTH_ROUTE": "/health", "MINE": "1",
    }  # fmt: skip
    assert reply["deployedModelId"] == id_


@pytest.mark.parametrize(
    ("split", "resources", "status", "message"),
    [
        ({"0": 50}, {}, 400, "must be 100"),
        ({"0": 0, "123": 100}, {}, 400, "not"),
        (None, {"machineSpec": {**MACHINE, "machineType": "e2-standard-4"}}, 400, "not support"),
        (None, {"machineSpec": {}}, 400, "machine_type"),
        (None, {"machineSpec": {**MACHINE, "acceleratorCount": 0}}, 400, "accelerator_count"),
        (None, {"minReplicaCount": 0}, 400, "at least 1"),
        (None, {"minReplicaCount": 2}, 400, "at most"),
        (None, {"maxReplicaCount": 3}, 429, "quota"),
    ],
)
def test_deployment_is_refused(
    vertex: Vertex, split: Any, resources: dict[str, Any], status: int, message: str
) -> None:
    reply = vertex.deploy(vertex.uploaded(), split, **resources)
    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]
    assert vertex.ok("GET", ENDPOINT)["deployedModels"] == []


def test_traffic_moves_and_what_serves_stays(vertex: Vertex) -> None:
    """Blue and green; the provider's resource shows the same; nothing in use can be deleted."""
    model = vertex.uploaded(modelId="sam")
    blue = vertex.deployed(model)
    assert vertex.ok("GET", ENDPOINT)["trafficSplit"] == {blue: 100}
    green = vertex.deployed(model, {"0": 0, blue: 100})
    assert {vertex.predict("x").json()["deployedModelId"] for _ in range(20)} == {blue}
    assert vertex.call("DELETE", ENDPOINT).status_code == 400
    assert vertex.call("DELETE", model.partition("@")[0]).status_code == 400
    refused = vertex.call("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": blue})
    assert "100 %" in refused.json()["error"]["message"]
    assert vertex.call("PATCH", ENDPOINT, {"trafficSplit": {green: 90}}).status_code == 400
    vertex.ok("PATCH", ENDPOINT, {"trafficSplit": {green: 100}})
    assert {vertex.predict("x").json()["deployedModelId"] for _ in range(20)} == {green}
    resource = vertex.world.read()["resources"]["google_vertex_ai_endpoint"][ENDPOINT]
    assert {model["id"] for model in resource["deployed_models"]} == {blue, green}
    vertex.wait(vertex.ok("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": blue}))
    resource = vertex.world.read()["resources"]["google_vertex_ai_endpoint"][ENDPOINT]
    assert [model["id"] for model in resource["deployed_models"]] == [green]
    assert resource["traffic_split"] == f'{{"{green}": 100}}'


def test_bounds_of_scaling_change_in_place(vertex: Vertex) -> None:
    id_ = vertex.deployed(vertex.uploaded())
    change = {"id": id_, "dedicatedResources": {"maxReplicaCount": 4}}
    response = vertex.wait(
        vertex.ok("POST", f"{ENDPOINT}:mutateDeployedModel", {"deployedModel": change})
    )
    assert response["deployedModel"]["dedicatedResources"]["maxReplicaCount"] == 4


def test_a_container_that_ends_fails_the_deployment_with_its_last_words(vertex: Vertex) -> None:
    model = vertex.uploaded(env=[{"name": "SERVING_PRECISION", "value": "exit"}])
    ended = vertex.wait(vertex.deploy(model).json())
    assert ended["error"]["code"] == 9
    assert "exited unexpectedly" in ended["error"]["message"]
    assert "cannot start" in ended["error"]["message"]
    assert vertex.ok("GET", ENDPOINT)["deployedModels"] == []


def test_deployment_that_is_cancelled_leaves_nothing(vertex: Vertex) -> None:
    model = vertex.uploaded(env=[{"name": "SERVING_PRECISION", "value": "slow"}])
    operation = vertex.deploy(model).json()
    assert vertex.ok("POST", f"{operation['name']}:cancel", {}) == {}
    assert vertex.wait(operation)["error"]["code"] == 1
    assert vertex.ok("GET", ENDPOINT)["deployedModels"] == []
    assert vertex.ok("POST", f"{operation['name']}:cancel", {}) == {}  # it has ended
