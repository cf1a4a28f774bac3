"""Pipeline jobs: the stand-in refuses what the service refuses, and Kubeflow runs the others."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kfp import compiler, dsl

from scripts.rehearsal import local_cloud as clouds
from tests.stand_ins.vertex import PARENT, PIPELINE, Vertex, furnish

ROOT = "gs://p1-bucket/pipeline/root"


@dsl.component(base_image="python:3.11", install_kfp_package=False)  # type: ignore[untyped-decorator]
def speak(words: str) -> str:
    """Return the words, after a minute where they are ``slow``; fail where they are ``fail``."""
    import time
    from pathlib import Path

    time.sleep(60 if words == "slow" else 0)
    if words == "fail":
        raise ValueError("told to fail")
    return f"{words} in {Path.cwd().name}"


@dsl.pipeline(name="speech")  # type: ignore[untyped-decorator]
def speech(words: str, times: int = 2) -> str:
    return speak(words=words).output  # type: ignore[no-any-return]


def graph(vertex: Vertex, tmp_path: Path) -> dict[str, Any]:
    path = tmp_path / "speech.yaml"
    compiler.Compiler().compile(speech, str(path))
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    executors = content["deploymentSpec"]["executors"]
    executors["exec-speak"]["container"]["image"] = vertex.image
    return content


@pytest.fixture
def job(vertex: Vertex, tmp_path: Path) -> dict[str, Any]:
    """A job that would be taken."""
    return {
        "displayName": "speech",
        "pipelineSpec": graph(vertex, tmp_path),
        "runtimeConfig": {"gcsOutputDirectory": ROOT, "parameterValues": {"words": "hello"}},
        "labels": {"app": "test"},
        "serviceAccount": PIPELINE,
    }


def create(vertex: Vertex, id_: str, job: dict[str, Any]) -> Any:
    return vertex.call("POST", f"{PARENT}/pipelineJobs?pipelineJobId={id_}", job)


def ended(vertex: Vertex, name: str) -> Any:
    deadline = time.monotonic() + 60
    while True:
        job = vertex.ok("GET", name)
        if job.get("endTime"):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.1)


def replaced(job: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    import copy

    changed = copy.deepcopy(job)
    parent: Any = changed
    *parents, last = path.split("/")
    for key in parents:
        parent = parent[key]
    parent[last] = value
    return changed


RESOURCES = "pipelineSpec/deploymentSpec/executors/exec-speak/container/resources"
IMAGE = "pipelineSpec/deploymentSpec/executors/exec-speak/container/image"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("runtimeConfig/gcsOutputDirectory", "/tmp/root", "gs:// URI"),
        ("runtimeConfig/gcsOutputDirectory", "gs://nowhere/root", "does not exist"),
        ("runtimeConfig/parameterValues", {}, "Missing runtime parameter: words"),
        ("runtimeConfig/parameterValues", {"words": "a", "loud": 1}, "Unknown runtime parameter"),
        ("runtimeConfig/parameterValues", {"words": 5}, "of type int"),
        ("labels", {"App": "x"}, "Label"),
        ("serviceAccount", "somebody@example.org", "service account"),
        ("pipelineSpec/schemaVersion", "1.0.0", "schemaVersion"),
        (RESOURCES, {"cpuLimit": 128.0}, "No machine has"),
        (RESOURCES, {"accelerator": {"resourceType": "nvidia-tesla-t4"}}, "not supported"),
        (IMAGE, "python:3.11", "Artifact Registry"),
        (IMAGE, "us-west1-docker.pkg.dev/p1/images/other@sha256:" + "1" * 64, "not found"),
        (IMAGE, "us-east1-docker.pkg.dev/p1/images/sam@sha256:" + "1" * 64, "not found"),
    ],
)
def test_job_is_refused(
    vertex: Vertex, job: dict[str, Any], path: str, value: Any, message: str
) -> None:
    reply = create(vertex, "refused", replaced(job, path, value))
    assert reply.status_code == 400
    assert message in reply.json()["error"]["message"]
    assert vertex.call("GET", f"{PARENT}/pipelineJobs/refused").status_code == 404


def test_job_ids_are_checked_and_taken_once(vertex: Vertex, job: dict[str, Any]) -> None:
    assert create(vertex, "Wrong_Id", job).status_code == 400
    assert create(vertex, "taken", job).status_code == 200
    assert create(vertex, "taken", job).status_code == 409
    ended(vertex, f"{PARENT}/pipelineJobs/taken")


def test_job_runs_with_the_images_files_and_shows_its_tasks(
    vertex: Vertex, job: dict[str, Any]
) -> None:
    name = create(vertex, "runs", job).json()["name"]
    ended_job = ended(vertex, name)
    assert ended_job["state"] == "PIPELINE_STATE_SUCCEEDED"
    (task,) = ended_job["jobDetail"]["taskDetails"]
    assert (task["taskName"], task["state"]) == ("speak", "SUCCEEDED")
    log = (vertex.cloud.home / "logs" / "pipeline-runs.log").read_text()
    assert "hello in tree" in log  # the folder of the image's files


def test_failing_task_fails_its_job_by_name(vertex: Vertex, job: dict[str, Any]) -> None:
    failing = replaced(job, "runtimeConfig/parameterValues", {"words": "fail"})
    ended_job = ended(vertex, create(vertex, "fails", failing).json()["name"])
    assert ended_job["state"] == "PIPELINE_STATE_FAILED"
    assert "[speak]" in ended_job["error"]["message"]
    assert ended_job["jobDetail"]["taskDetails"][0]["state"] == "FAILED"


def test_cancelled_job_leaves_no_process(vertex: Vertex, job: dict[str, Any]) -> None:
    slow = replaced(job, "runtimeConfig/parameterValues", {"words": "slow"})
    name = create(vertex, "slow", slow).json()["name"]
    assert vertex.call("DELETE", name).status_code == 200  # the operation is refused
    deadline = time.monotonic() + 30
    while not vertex.ok("GET", name)["jobDetail"]["taskDetails"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    vertex.ok("POST", f"{name}:cancel")
    assert ended(vertex, name)["state"] == "PIPELINE_STATE_CANCELLED"
    time.sleep(0.5)
    commands = [path.read_bytes() for path in _commands()]
    assert not any(b"pipelines/slow" in command for command in commands)
    vertex.ok("POST", f"{name}:cancel")  # one that has ended stays as it is
    vertex.wait(vertex.ok("DELETE", name))
    assert vertex.call("GET", name).status_code == 404


def _commands() -> list[Path]:
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]


def test_jobs_are_listed_by_label_and_state(vertex: Vertex, job: dict[str, Any]) -> None:
    for id_, label in (("one", "a"), ("two", "b")):
        name = create(vertex, id_, {**job, "labels": {"kind": label}}).json()["name"]
        ended(vertex, name)
    listed = vertex.ok("GET", f'{PARENT}/pipelineJobs?filter=labels.kind="b"')["pipelineJobs"]
    assert [job["name"].rpartition("/")[2] for job in listed] == ["two"]
    condition = 'labels.kind="a" AND state="PIPELINE_STATE_SUCCEEDED"'
    listed = vertex.ok("GET", f"{PARENT}/pipelineJobs?filter={condition}")["pipelineJobs"]
    assert [job["name"].rpartition("/")[2] for job in listed] == ["one"]
    assert vertex.call("GET", f"{PARENT}/pipelineJobs?filter=colour=red").status_code == 400


def test_fault_while_creating_is_met_once(
    vertex: Vertex, job: dict[str, Any], fault: Callable[..., None]
) -> None:
    fault(method="pipelineJobs", kind="503")
    assert create(vertex, "faulty", job).status_code == 503
    assert create(vertex, "faulty", job).status_code == 200
    ended(vertex, f"{PARENT}/pipelineJobs/faulty")


def test_job_that_ran_when_the_stand_in_ended_has_failed(tmp_path: Path) -> None:
    home = tmp_path / "cloud"
    vertex = Vertex(clouds.start(home))
    try:
        furnish(vertex, home / "images" / "tree")
        slow = {
            "pipelineSpec": graph(vertex, tmp_path),
            "runtimeConfig": {"gcsOutputDirectory": ROOT, "parameterValues": {"words": "slow"}},
            "serviceAccount": PIPELINE,
        }
        name = create(vertex, "left", slow).json()["name"]
        time.sleep(1)
        clouds.stop(home, keep=True)
        again = Vertex(clouds.start(home))
        job = again.ok("GET", name)
        assert job["state"] == "PIPELINE_STATE_FAILED"
        assert "nterrupted" in job["error"]["message"]
    finally:
        clouds.stop(home)
