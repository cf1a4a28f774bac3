"""A job is found by its token while it has results to wait for; any other end is submitted anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from scripts.batch_predictions.input_lines import INSTANCES, line_key
from scripts.batch_predictions.jobs import BatchJobs
from scripts.batch_predictions.results import read_results
from scripts.cloud.vertex_sdk import connect
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import OperatorError
from serving.storage import open_folder
from tests.stand_ins.vertex import Vertex

LINES = [{"file_path": f"{number}.png"} for number in range(3)]


class Submitter:
    """Submits the same job as often as it is asked."""

    def __init__(self, vertex: Vertex) -> None:
        self.vertex = vertex
        self._sdk = connect("p1", "us-west1")
        self.jobs = BatchJobs(self._sdk)
        self._request = ReleaseRequest(
            project_id="p1", region="us-west1", bucket_name="p1-bucket", endpoint_id="sam",
            model_id="sam-model", image=vertex.image, checkpoint="gs://p1-bucket/model",
        )  # fmt: skip
        self._folder = open_folder("gs://p1-bucket/job")
        text = "".join(json.dumps(line) + "\n" for line in LINES)
        self._folder.write_bytes(INSTANCES, text.encode(), "application/jsonl")
        self._version = self._sdk.Model(vertex.uploaded())

    def submit(self, token: str) -> Any:
        return self.jobs.submit(
            token, self._version, self._request, self._folder,
            automatic={}, batch_size=2, replicas=1,
        )  # fmt: skip

    def change(self, job: Any, state: str) -> None:
        """Let the service say that the job ended otherwise, and wrote nothing."""
        with self.vertex.world.open() as world:
            content: dict[str, Any] = world["vertex"]["jobs"][job.resource_name]
            content["state"] = f"JOB_STATE_{state}"
            content.pop("outputInfo", None)


@pytest.fixture
def submitter(vertex: Vertex, shell: None) -> Submitter:
    return Submitter(vertex)


def test_job_is_found_by_its_token(submitter: Submitter) -> None:
    job = submitter.submit("found")
    results = open_folder(submitter.jobs.wait(job, len(LINES)))
    assert dict(read_results(results)) == {line_key(line): {"echo": line} for line in LINES}
    again = submitter.jobs.find_with_results("found")
    assert again is not None
    assert again.resource_name == job.resource_name
    assert submitter.jobs.find("other") is None


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "EXPIRED", "PAUSED"])
def test_job_that_ended_without_results_is_submitted_anew(submitter: Submitter, state: str) -> None:
    job = submitter.submit(f"again-{state.lower()}")
    submitter.jobs.wait(job, len(LINES))
    submitter.change(job, state)
    assert submitter.jobs.find_with_results(f"again-{state.lower()}") is None
    with pytest.raises(OperatorError, match="the batch prediction failed") as caught:
        submitter.jobs.wait(job, len(LINES))
    assert "run again to submit anew" in caught.value.hint
    anew = submitter.submit(f"again-{state.lower()}")
    assert anew.resource_name != job.resource_name
    newest = submitter.jobs.find(f"again-{state.lower()}")
    assert newest is not None
    assert newest.resource_name == anew.resource_name


def test_partial_success_ends_the_wait_and_its_results_are_kept(
    submitter: Submitter, vertex: Vertex
) -> None:
    job = submitter.submit("partial")
    folder = submitter.jobs.wait(job, len(LINES))
    with vertex.world.open() as world:
        world["vertex"]["jobs"][job.resource_name]["state"] = "JOB_STATE_PARTIALLY_SUCCEEDED"
    again = submitter.jobs.find_with_results("partial")
    assert again is not None
    assert submitter.jobs.wait(again, len(LINES)) == folder


def test_lost_answer_leaves_one_job(submitter: Submitter, fault: Callable[..., None]) -> None:
    fault(method="POST /v1/projects/p1/locations/us-west1/batchPredictionJobs", kind="late")
    job = submitter.submit("lost")
    submitter.jobs.wait(job, len(LINES))
    jobs = submitter.vertex.world.read()["vertex"]["jobs"].values()
    assert [
        known["name"] for known in jobs if known.get("labels", {}).get("submission") == "lost"
    ] == [job.resource_name]
