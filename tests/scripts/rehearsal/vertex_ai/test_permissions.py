"""Who may do what at the stand-in of Vertex AI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scripts.rehearsal.vertex_ai.permissions import NOBODY, agent_of
from tests.stand_ins.vertex import ENDPOINT, MACHINE, PARENT, PIPELINE, Vertex, grant

RELEASER = "sam-workbench@p1.iam.gserviceaccount.com"
SERVING = "sam-serving@p1.iam.gserviceaccount.com"
SERVING_ID = f"projects/p1/serviceAccounts/{SERVING}"


@pytest.fixture
def granted(vertex: Vertex) -> Iterator[Vertex]:
    """Grants of the test's own, taken back at its end."""
    with vertex.world.open() as world:
        before = dict(world["resources"])
        world["resources"] = {kind: dict(values) for kind, values in before.items()}
    yield vertex
    with vertex.world.open() as world:
        kept = {kind: v for kind, v in world["resources"].items() if "_iam_" not in kind}
        grants = {kind: v for kind, v in before.items() if "_iam_" in kind}
        world["resources"] = {**kept, **grants}


def allow(vertex: Vertex, email: str, role: str, **target: str) -> None:
    with vertex.world.open() as world:
        grant(world, email, role, **target)


def as_caller(vertex: Vertex, email: str, method: str, path: str, body: Any = None) -> Any:
    return vertex.call(method, path, body, headers={"Authorization": f"Bearer {email}"})


def deployment(model: str) -> Any:
    resources = {"machineSpec": MACHINE, "minReplicaCount": 1, "maxReplicaCount": 1}
    return {
        "deployedModel": {
            "model": model, "dedicatedResources": resources, "serviceAccount": SERVING
        }
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("GET", f"{PARENT}/models", "models.list"),
        ("POST", f"{PARENT}/models:upload", "models.upload"),
        ("POST", f"{ENDPOINT}:deployModel", "endpoints.deploy"),
        ("POST", f"{ENDPOINT}:predict", "endpoints.predict"),
        ("PATCH", ENDPOINT, "endpoints.update"),
        ("DELETE", ENDPOINT, "endpoints.delete"),
        ("POST", f"{PARENT}/batchPredictionJobs", "batchPredictionJobs.create"),
        ("POST", f"{PARENT}/pipelineJobs/x:cancel", "pipelineJobs.cancel"),
        ("GET", f"{ENDPOINT}/operations/1", "operations.list"),
    ],
)
def test_caller_without_a_role_meets_googles_403(
    granted: Vertex, method: str, path: str, permission: str
) -> None:
    reply = as_caller(granted, RELEASER, method, path)
    error = reply.json()["error"]
    assert (reply.status_code, error["status"]) == (403, "PERMISSION_DENIED")
    assert f"Permission 'aiplatform.{permission}' denied on resource" in error["message"]
    assert error["details"][0]["metadata"]["permission"] == f"aiplatform.{permission}"


def test_credentials_of_nobody_are_refused(vertex: Vertex) -> None:
    reply = as_caller(vertex, "ya29.somebody", "GET", f"{PARENT}/models")
    assert (reply.status_code, reply.json()["error"]["status"]) == (401, "UNAUTHENTICATED")


def test_deployment_as_an_account_needs_act_as_and_the_agents_grant(granted: Vertex) -> None:
    """The two grants that a release needs beside the role to deploy."""
    allow(granted, RELEASER, "roles/aiplatform.user", project="p1")
    body = deployment(granted.uploaded())
    refused = as_caller(granted, RELEASER, "POST", f"{ENDPOINT}:deployModel", body)
    assert refused.status_code == 403
    assert f"act as service_account: {SERVING}" in refused.json()["error"]["message"]

    allow(granted, RELEASER, "roles/iam.serviceAccountUser", service_account_id=SERVING_ID)
    begun = as_caller(granted, RELEASER, "POST", f"{ENDPOINT}:deployModel", body)
    error = granted.wait(begun.json())["error"]
    agent = agent_of("p1")
    assert (error["code"], agent in error["message"]) == (9, True)
    assert f"iam.serviceAccountAdmin role on service account {SERVING}" in error["message"]
    assert granted.ok("GET", ENDPOINT)["deployedModels"] == []

    allow(granted, agent, "roles/iam.serviceAccountAdmin", service_account_id=SERVING_ID)
    begun = as_caller(granted, RELEASER, "POST", f"{ENDPOINT}:deployModel", body)
    assert granted.wait(begun.json())["deployedModel"]["serviceAccount"] == SERVING
    reply = granted.predict("x", tell=["STORAGE_EMULATOR_HOST"]).json()["predictions"][0]
    assert reply["STORAGE_EMULATOR_HOST"].startswith("http://sam-serving%40p1.iam.")


def test_container_without_an_account_acts_as_one_that_has_no_access(vertex: Vertex) -> None:
    vertex.deployed(vertex.uploaded())
    reply = vertex.predict("x", tell=["STORAGE_EMULATOR_HOST"]).json()["predictions"][0]
    assert reply["STORAGE_EMULATOR_HOST"].startswith(f"http://{NOBODY.replace('@', '%40')}:")


def test_agent_copies_artifacts_and_pulls_images_of_its_own_project_only(granted: Vertex) -> None:
    with granted.world.open() as world:
        world["resources"]["google_storage_bucket"]["p1-bucket"]["project"] = "another"
    try:
        refused = granted.upload()
    finally:
        with granted.world.open() as world:
            world["resources"]["google_storage_bucket"]["p1-bucket"]["project"] = "p1"
    assert refused.status_code == 400
    message = refused.json()["error"]["message"]
    assert f"{agent_of('p1')} does not have storage.objects.list access" in message


def test_pipeline_needs_act_as_and_an_account_that_may_pull(granted: Vertex) -> None:
    allow(granted, RELEASER, "roles/aiplatform.user", project="p1")
    container = {"image": granted.image, "command": ["true"]}
    job = {
        "displayName": "p",
        "pipelineSpec": {
            "schemaVersion": "2.1.0",
            "root": {"dag": {"tasks": {}}},
            "deploymentSpec": {"executors": {"exec-a": {"container": container}}},
        },
        "runtimeConfig": {"gcsOutputDirectory": "gs://p1-bucket/root"},
        "serviceAccount": PIPELINE,
    }
    path = f"{PARENT}/pipelineJobs?pipelineJobId=refused"
    reply = as_caller(granted, RELEASER, "POST", path, job)
    assert reply.status_code == 403
    assert f"act as service_account: {PIPELINE}" in reply.json()["error"]["message"]
    nobody = granted.call("POST", path, {**job, "serviceAccount": ""})
    assert "does not have storage.buckets.get access" in nobody.json()["error"]["message"]
    with granted.world.open() as world:
        world["resources"]["google_artifact_registry_repository_iam_member"] = {}
    unpulled = granted.call("POST", path, job)
    assert f"{PIPELINE} should be granted access to the image" in unpulled.text
