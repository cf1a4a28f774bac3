"""What a shard may ask for, and the custom job that asks for what a task cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.cloud.aiplatform_v1.types import AcceleratorType, CustomJob, Scheduling

from pipeline.components.segment_shard_job import LAUNCHER, ShardJob
from pipeline.definition import compile_pipeline
from pipeline.machines import L4, T4, Capacity, Machine
from pipeline.run.parameters import RunError

IMAGE = "us-west1-docker.pkg.dev/p/images/sam@sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("accelerator", "capacity", "machine_type"),
    [
        ("", "standard", "n1-standard-4"),
        (T4, "standard", "n1-standard-4"),
        (T4, "spot", "n1-standard-4"),
        (L4, "spot", "g2-standard-4"),
        (L4, "flex", "g2-standard-4"),
        ("", "spot", "n1-standard-4"),
    ],
)
def test_machine_that_google_offers_has_its_type(
    accelerator: str, capacity: Capacity, machine_type: str
) -> None:
    assert Machine(accelerator=accelerator, capacity=capacity).machine_type == machine_type


@pytest.mark.parametrize(
    ("accelerator", "capacity", "reason"),
    [
        (T4, "flex", "not with NVIDIA_TESLA_T4; use --accelerator NVIDIA_L4, or --capacity spot"),
        ("", "flex", "not with machines without a GPU"),
        ("NVIDIA_TESLA_V100", "spot", "no machine type is known with NVIDIA_TESLA_V100"),
    ],
)
def test_machine_that_google_does_not_offer_is_refused_with_the_reason(
    accelerator: str, capacity: Capacity, reason: str
) -> None:
    with pytest.raises(RunError, match=reason):
        Machine(accelerator=accelerator, capacity=capacity)


def compiled(path: Path, machine: Machine) -> dict[str, Any]:
    job = ShardJob(
        output="gs://b/pipeline/out",
        service_account="sam@p.iam.gserviceaccount.com",
        kms_key="projects/p/locations/us-west1/keyRings/r/cryptoKeys/k",
        labels={"app": "sam-vertex"},
        most_seconds=7200.4,
    )
    compile_pipeline(path, image=IMAGE, machine=machine, parallelism=3, shard_job=job)
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def payload_of(graph: dict[str, Any]) -> str:
    container = graph["deploymentSpec"]["executors"]["exec-segment-shard"]["container"]
    assert container["command"][-1] == LAUNCHER
    arguments = container["args"]
    return str(arguments[arguments.index("--payload") + 1])


@pytest.mark.parametrize(
    ("accelerator", "capacity", "strategy"),
    [(T4, "spot", Scheduling.Strategy.SPOT), (L4, "flex", Scheduling.Strategy.FLEX_START)],
)
def test_shard_is_a_custom_job_as_the_sdk_knows_it(
    tmp_path: Path, accelerator: str, capacity: Capacity, strategy: Any
) -> None:
    """Every field is one of the API's; unknown ones are refused here."""
    graph = compiled(tmp_path / "graph.yaml", Machine(accelerator=accelerator, capacity=capacity))
    text = payload_of(graph).replace("{{$.inputs.parameters['shard']}}", "shard-0003")
    job = CustomJob.from_json(json.dumps(json.loads(text)))
    assert job.display_name == "segment shard-0003"
    (pool,) = job.job_spec.worker_pool_specs
    assert pool.machine_spec.accelerator_type == AcceleratorType[accelerator]
    assert list(pool.container_spec.args) == ["gs://b/pipeline/out", "shard-0003"]
    assert pool.container_spec.image_uri == IMAGE
    scheduling = job.job_spec.scheduling
    assert scheduling.strategy == strategy
    assert scheduling.timeout.total_seconds() == 7200
    waits = scheduling.max_wait_duration
    assert (waits.total_seconds() if waits else 0) == (86400 if capacity == "flex" else 0)
    assert job.encryption_spec.kms_key_name.endswith("/k")


def test_graph_of_custom_jobs_reports_after_all_of_them(tmp_path: Path) -> None:
    graph = compiled(tmp_path / "graph.yaml", Machine(accelerator=L4, capacity="spot"))
    tasks = graph["root"]["dag"]["tasks"]
    assert set(tasks) == {"plan-shards", "for-loop-1", "write-report-of-jobs"}
    assert tasks["for-loop-1"]["iteratorPolicy"] == {"parallelismLimit": 3}
    assert tasks["write-report-of-jobs"]["dependentTasks"] == ["for-loop-1"]
    container = graph["deploymentSpec"]["executors"]["exec-segment-shard"]["container"]
    assert "resources" not in container, "the launcher needs no GPU"
