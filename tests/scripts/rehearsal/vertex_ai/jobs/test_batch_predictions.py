"""Batch prediction jobs: results and errors as files, and jobs that cannot be."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from tests.stand_ins.vertex import MACHINE, PARENT, Vertex


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
    while not job["state"].endswith(("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")):
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


@pytest.mark.parametrize("kind", ["expired", "partial"])
def test_batch_prediction_may_end_as_seldom_as_googles(vertex: Vertex, kind: str) -> None:
    vertex.objects.put("p1-bucket", "in.jsonl", b'"a"\n')
    fault = {"method": "batchPredictionJobs", "kind": kind}
    reply = requests.post(f"{vertex.cloud.vertex_url}/rehearsal/faults", json=fault, timeout=10)
    assert reply.status_code == 200
    job = batch(vertex, vertex.uploaded())
    partial = kind == "partial"
    assert job["state"] == f"JOB_STATE_{'PARTIALLY_SUCCEEDED' if partial else 'EXPIRED'}"
    assert ("outputInfo" in job) is partial
