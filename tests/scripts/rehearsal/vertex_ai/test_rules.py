"""The stand-in refuses what Vertex AI refuses, where we know it, and runs real containers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from scripts.rehearsal import local_cloud as clouds
from tests.stand_ins.vertex import ENDPOINT, MACHINE, PARENT, Vertex, furnish


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"modelId": "Sam"}, 400, "Model id"),
        ({"modelId": "-sam"}, 400, "Model id"),
        ({"modelId": "a" * 64}, 400, "Model id"),
        ({"displayName": ""}, 400, "display_name"),
        ({"displayName": "a" * 129}, 400, "display_name"),
        ({"versionAliases": ["A"]}, 400, "alias"),
        ({"versionAliases": ["ends-"]}, 400, "alias"),
        ({"env": [{"name": "AIP_HTTP_PORT", "value": "1"}]}, 400, "reserved"),
        ({"artifactUri": "gs://p1-bucket/none"}, 400, "no objects"),
        ({"artifactUri": "/tmp/model"}, 400, "Cloud Storage"),
        ({"containerSpec": {"imageUri": "docker.io/library/python"}}, 400, "Artifact Registry"),
        (
            {"containerSpec": {"imageUri": "us-west1-docker.pkg.dev/p1/images/none@sha256:" + "0" * 64}},  # noqa: E501
            400, "not found",
        ),
        ({"parentModel": f"{PARENT}/models/none"}, 404, "not found"),
    ],
)  # fmt: skip
def test_upload_is_refused(
    vertex: Vertex, changes: dict[str, Any], status: int, message: str
) -> None:
    reply = vertex.upload(**changes)
    assert reply.status_code == status
    assert message in reply.json()["error"]["message"]


def test_versions_and_aliases(vertex: Vertex) -> None:
    """Versions count from 1; an alias has one holder; the default cannot be deleted."""
    first = vertex.uploaded(modelId="sam", versionAliases=["r-1"])
    name = first.partition("@")[0]
    assert first.endswith("@1")
    assert vertex.upload(modelId="sam").status_code == 409
    assert vertex.uploaded(parentModel=name, versionAliases=["r-2"]).endswith("@2")
    aliases = {
        one["versionId"]: one["versionAliases"]
        for one in vertex.ok("GET", f"{name}:listVersions")["models"]
    }
    assert aliases == {"1": ["r-1", "default"], "2": ["r-2"]}
    assert vertex.ok("GET", f"{name}@r-2")["versionId"] == "2"
    assert vertex.ok("GET", name)["versionId"] == "1"
    merged = vertex.ok(
        "POST", f"{name}@2:mergeVersionAliases", {"versionAliases": ["default", "live"]}
    )
    assert merged["versionAliases"] == ["r-2", "default", "live"]
    assert vertex.ok("GET", name)["versionId"] == "2"
    refused = vertex.call("DELETE", f"{name}@2:deleteVersion")
    assert refused.json()["error"]["status"] == "FAILED_PRECONDITION"
    vertex.wait(vertex.ok("DELETE", f"{name}@1:deleteVersion"))
    assert vertex.call("GET", f"{name}@1").status_code == 404


def test_artifacts_are_a_copy(vertex: Vertex) -> None:
    """The container sees what was there at upload, in a bucket of the service's own."""
    model = vertex.uploaded(modelId="sam")
    vertex.objects.put("p1-bucket", "model/weights.bin", b"other weights")
    vertex.deployed(model)
    uri = vertex.predict("x", tell=["AIP_STORAGE_URI"]).json()["predictions"][0]["AIP_STORAGE_URI"]
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    assert bucket != "p1-bucket"
    assert vertex.objects.names(bucket, prefix) == [f"{prefix}/weights.bin"]
    copy = requests.get(
        f"{vertex.cloud.storage_url}/storage/v1/b/{bucket}/o/"
        f"{prefix}%2Fweights.bin?alt=media", timeout=10,
    )  # fmt: skip
    assert copy.content == b"weights"
    vertex.objects.put("p1-bucket", "model/weights.bin", b"weights")


def test_containers_get_the_variables_that_vertex_sets(vertex: Vertex) -> None:
    names = [
        "AIP_MODE", "AIP_MODE_VERSION", "AIP_FRAMEWORK", "AIP_MACHINE_TYPE", "AIP_ENDPOINT_ID",
        "AIP_ACCELERATOR_TYPE", "AIP_DEPLOYED_MODEL_ID", "AIP_HEALTH_ROUTE", "MINE",
    ]  # fmt: skip
    id_ = vertex.deployed(vertex.uploaded(env=[{"name": "MINE", "value": "1"}]))
    reply = vertex.predict("x", tell=names).json()
    told = reply["predictions"][0]
    assert told == {
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
    shown = vertex.world.read()["resources"]["google_vertex_ai_endpoint"][ENDPOINT]
    assert {one["id"] for one in shown["deployed_models"]} == {blue, green}
    vertex.wait(vertex.ok("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": blue}))
    shown = vertex.world.read()["resources"]["google_vertex_ai_endpoint"][ENDPOINT]
    assert [one["id"] for one in shown["deployed_models"]] == [green]
    assert shown["traffic_split"] == f'{{"{green}": 100}}'


def test_bounds_of_scaling_are_changed_in_place(vertex: Vertex) -> None:
    id_ = vertex.deployed(vertex.uploaded())
    change = {"id": id_, "dedicatedResources": {"maxReplicaCount": 4}}
    found = vertex.wait(
        vertex.ok("POST", f"{ENDPOINT}:mutateDeployedModel", {"deployedModel": change})
    )
    assert found["deployedModel"]["dedicatedResources"]["maxReplicaCount"] == 4


def test_a_container_that_ends_fails_the_deployment_with_its_last_words(vertex: Vertex) -> None:
    model = vertex.uploaded(env=[{"name": "SERVING_PRECISION", "value": "exit"}])
    ended = vertex.wait(vertex.deploy(model).json())
    assert ended["error"]["code"] == 9
    assert "exited unexpectedly" in ended["error"]["message"]
    assert "cannot start" in ended["error"]["message"]
    assert vertex.ok("GET", ENDPOINT)["deployedModels"] == []


def test_predictions_keep_to_the_endpoints_rules(vertex: Vertex) -> None:
    assert vertex.predict("x").status_code == 404  # nothing deployed
    vertex.deployed(vertex.uploaded())
    shared = vertex.call("POST", f"{ENDPOINT}:predict", {"instances": ["x"]})
    assert shared.status_code == 400
    assert "dedicated" in shared.json()["error"]["message"].lower()
    bad = vertex.predict("bad")
    assert bad.status_code == 400
    assert "bad instance" in bad.json()["error"]["message"]
    assert vertex.predict("large").status_code == 413
    assert vertex.predict("y" * 10_000_001).status_code == 413


def test_requests_in_hand_are_finished_before_a_container_ends(vertex: Vertex) -> None:
    import threading

    blue = vertex.deployed(vertex.uploaded(modelId="sam"))
    found: list[requests.Response] = []
    client = threading.Thread(target=lambda: found.append(vertex.predict({"sleep": 1.0})))
    client.start()
    time.sleep(0.3)
    vertex.wait(vertex.ok("POST", f"{ENDPOINT}:undeployModel", {"deployedModelId": blue}))
    client.join()
    assert found[0].status_code == 200


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("503", 503)])
def test_faults_are_met_as_often_as_asked(
    vertex: Vertex, fault: Callable[..., None], kind: str, status: int
) -> None:
    fault(method="models", kind=kind, times=2)
    statuses = [vertex.call("GET", f"{PARENT}/models").status_code for _ in range(3)]
    assert statuses == [status, status, 200]


def test_operations_fail_and_connections_drop_on_request(
    vertex: Vertex, fault: Callable[..., None]
) -> None:
    fault(method="DeployModel", kind="operation")
    model = vertex.uploaded()
    assert "injected" in vertex.wait(vertex.deploy(model).json())["error"]["message"]
    fault(method="endpoints", kind="drop")
    with pytest.raises(requests.ConnectionError):
        vertex.call("GET", ENDPOINT)
    fault(method="endpoints", kind="slow", seconds=0.3)
    began = time.monotonic()
    vertex.ok("GET", ENDPOINT)
    assert time.monotonic() - began >= 0.3


def test_unknown_things_and_wrong_ids(vertex: Vertex) -> None:
    for path in (f"{PARENT}/models/none", f"{PARENT}/endpoints/none", f"{PARENT}/operations/1"):
        assert vertex.call("GET", path).status_code == 404
    wrong = vertex.call("POST", f"{PARENT}/endpoints?endpointId=-a", {"displayName": "x"})
    assert wrong.status_code == 400
    made = vertex.wait(
        vertex.ok("POST", f"{PARENT}/endpoints?endpointId=other", {"displayName": "x"})
    )
    assert made["name"] == f"{PARENT}/endpoints/other"
    again = vertex.call("POST", f"{PARENT}/endpoints?endpointId=other", {"displayName": "x"})
    assert again.status_code == 409
    vertex.wait(vertex.ok("DELETE", f"{PARENT}/endpoints/other"))


def batch(vertex: Vertex, model: str, **changes: Any) -> Any:
    job = vertex.ok(
        "POST",
        f"{PARENT}/batchPredictionJobs",
        {
            "displayName": "b",
            "model": model,
            "inputConfig": {
                "instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://p1-bucket/in.jsonl"]},
            },
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": "gs://p1-bucket/out"},
            },
            "dedicatedResources": {"machineSpec": MACHINE, "startingReplicaCount": 1},
            "manualBatchTuningParameters": {"batchSize": 2},
            **changes,
        },
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not job["state"].endswith(("SUCCEEDED", "FAILED", "CANCELLED")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        job = vertex.ok("GET", job["name"])
    return job


@pytest.mark.parametrize("proto_names", [False, True])
def test_batch_predictions_leave_results_and_errors(vertex: Vertex, proto_names: bool) -> None:
    with vertex.world.open() as world:
        world["vertex"]["proto_file_names"] = proto_names
    vertex.objects.put("p1-bucket", "in.jsonl", b'"a"\n"b"\n"bad"\n"c"\n\n"d"\n')
    job = batch(vertex, vertex.uploaded())
    assert job["state"] == "JOB_STATE_SUCCEEDED", job
    assert job["completionStats"] == {"successfulCount": "3", "failedCount": "2"}
    folder = job["outputInfo"]["gcsOutputDirectory"]
    assert "/prediction-sam-" in folder
    names = [
        name.rpartition("/")[2]
        for name in vertex.objects.names("p1-bucket", folder.removeprefix("gs://p1-bucket/"))
    ]
    first = "predictions_0001.jsonl" if proto_names else "prediction.results-00000-of-00002"
    assert first in names
    assert sum("errors" in name for name in names) == 1


def test_batch_predictions_that_cannot_be(vertex: Vertex) -> None:
    vertex.objects.put("p1-bucket", "in.jsonl", b'"bad"\n')
    model = vertex.uploaded()
    assert batch(vertex, model)["state"] == "JOB_STATE_FAILED"
    missing = {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://p1-bucket/none"]}}
    job = batch(vertex, model, inputConfig=missing)
    assert job["state"] == "JOB_STATE_FAILED"
    assert "not found" in job["error"]["message"]
    vertex.wait(vertex.ok("DELETE", job["name"]))
    assert vertex.call("GET", job["name"]).status_code == 404


def test_a_restarted_stand_in_finds_its_state_again(tmp_path: Path) -> None:
    """Models, the deployment and its container; an operation that was cut off has failed."""
    vertex = Vertex(clouds.start(tmp_path))
    furnish(vertex, tmp_path / "images" / "tree")
    id_ = vertex.deployed(vertex.uploaded(modelId="sam"))
    slow = vertex.uploaded(env=[{"name": "SERVING_PRECISION", "value": "slow"}])
    in_hand = vertex.deploy(slow, {"0": 0, id_: 100}).json()["name"]
    assert not vertex.ok("GET", in_hand)["done"]
    clouds.stop(tmp_path, keep=True)
    again = Vertex(clouds.start(tmp_path))
    try:
        assert again.ok("GET", f"{PARENT}/models/sam")["versionId"] == "1"
        assert "error" in again.ok("GET", in_hand)
        assert [one["id"] for one in again.ok("GET", ENDPOINT)["deployedModels"]] == [id_]
        deadline = time.monotonic() + 20
        while (reply := again.predict("x")).status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        assert reply.json()["deployedModelId"] == id_
    finally:
        clouds.stop(tmp_path)
    assert not tmp_path.exists()
