"""``sam-vertex platform``: what Terraform calls when it destroys, against the stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from scripts.cli import app
from tests.stand_ins.vertex import PARENT, Vertex

BUCKET = "p1-guarded"
DATA_SET = "projects/p1/datasets/sam_results"
CLEAR = ("clear-bucket", BUCKET, "--project", "p1", "--ours", "startup/")
TABLE = ("--table", "sam_results.masks")
REMAINS = ("remains", "--project", "p1", "--region", "us-west1")


def platform(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["platform", *arguments])
    assert done.exit_code == code, done.output
    return str(done.output)


@pytest.fixture
def guarded(vertex: Vertex, shell: None) -> Iterator[Vertex]:
    """A bucket with nothing but the platform's own in it, and a data set with a view of ours."""
    with vertex.world.open() as world:
        before = dict(world["resources"])
        bucket = {"name": BUCKET, "project": "p1", "versioning": []}
        tables: dict[str, Any] = {
            f"{DATA_SET}/tables/{name}": {} for name in ("masks", "best_of_june")
        }
        api = {"service": "bigquery.googleapis.com", "project": "p1"}
        world["resources"] |= {
            "google_storage_bucket": {**before["google_storage_bucket"], BUCKET: bucket},
            "google_bigquery_dataset": {DATA_SET: {"id": DATA_SET}},
            "google_bigquery_table": tables,
            "google_project_service": {"p1/bigquery": api},
        }
    vertex.objects.create_bucket(BUCKET, "p1")
    vertex.objects.put(BUCKET, "startup/post-startup.sh", b"#!/bin/bash")
    yield vertex
    for name in vertex.objects.names(BUCKET, ""):
        vertex.objects.delete(BUCKET, name)
    vertex.objects.delete_bucket(BUCKET)
    with vertex.world.open() as world:
        world["resources"] = before


def tables(vertex: Vertex) -> list[str]:
    known = vertex.world.read()["resources"]["google_bigquery_table"]
    return [name.rpartition("/")[2] for name in known]


def test_table_of_somebody_stops_a_destroy_before_anything_is_gone(guarded: Vertex) -> None:
    refused = platform(*CLEAR, *TABLE, code=2)
    assert "sam_results of p1 holds tables of yours (best_of_june)" in refused
    assert "SAM_FORCE_DESTROY=true" in refused
    assert guarded.objects.names(BUCKET, "") == ["startup/post-startup.sh"]
    assert tables(guarded) == ["best_of_june", "masks"]
    assert "1 table of sam_results deleted" in platform(*CLEAR, *TABLE, "--force")
    assert tables(guarded) == ["masks"]  # which Terraform itself destroys
    assert guarded.objects.names(BUCKET, "") == []
    platform(*CLEAR, *TABLE)


def test_data_set_that_is_not_there_stops_nothing(guarded: Vertex) -> None:
    platform(*CLEAR, "--table", "elsewhere.masks")


def test_remains_tell_of_every_job_that_has_not_ended(vertex: Vertex, shell: None) -> None:
    def job(kind: str, number: int, state: str) -> dict[str, Any]:
        name = f"{PARENT}/{kind}/{number}"
        return {name: {"name": name, "displayName": "x", "state": state, "createTime": "2026-11-30T00:00:00Z"}}  # fmt: skip # noqa: E501

    waiting, over = ("PENDING", "QUEUED", "RUNNING", "PAUSED", "CANCELLING"), "SUCCEEDED"
    with vertex.world.open() as world:
        for kind in ("custom_jobs", "jobs", "pipelines"):  # what other tests have left there
            world["vertex"][kind] = {}
        for number, state in enumerate((*waiting, over)):
            world["vertex"]["custom_jobs"] |= job("customJobs", number, f"JOB_STATE_{state}")
            world["vertex"]["jobs"] |= job("batchPredictionJobs", number, f"JOB_STATE_{state}")
            world["vertex"]["pipelines"] |= job("pipelineJobs", number, f"PIPELINE_STATE_{state}")
    told = platform(*REMAINS)
    for kind in ("pipeline", "custom job", "batch prediction"):
        lines = [line for line in told.splitlines() if line.startswith(f"- {kind} ")]
        assert len(lines) == len(waiting), told
    assert "unknown" not in told
    with vertex.world.open() as world:
        for kind in ("custom_jobs", "jobs", "pipelines"):
            world["vertex"][kind] = {}
    told = platform(*REMAINS)
    assert "nothing of this platform bills any more" in told
    assert "looked for in us-west1: deployed models, pipelines, custom jobs" in told
