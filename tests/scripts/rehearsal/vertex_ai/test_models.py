"""Uploads, versions and aliases, refused where Vertex AI refuses them."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.stand_ins.vertex import PARENT, Vertex


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
        version["versionId"]: version["versionAliases"]
        for version in vertex.ok("GET", f"{name}:listVersions")["models"]
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
