"""A job is found again while it has results to wait for; any other end is submitted anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.batch_predictions.input_lines import INSTANCES, line_key
from scripts.batch_predictions.jobs import JOB, BatchJobs
from scripts.cloud.vertex_sdk import connect
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import OperatorError
from serving.storage import Folder, open_folder
from tests.stand_ins.vertex import Vertex

LINES = [{"file_path": f"{number}.png"} for number in range(3)]


class Submitted:
    """A job that has ended well, and the output that remembers it."""

    def __init__(self, vertex: Vertex, output: Folder) -> None:
        self.vertex, self.output = vertex, output
        sdk = connect("p1", "us-west1")
        self.jobs = BatchJobs(sdk, output)
        request = ReleaseRequest(
            project_id="p1", region="us-west1", bucket_name="p1-bucket", endpoint_id="sam",
            model_id="sam-model", image=vertex.image, checkpoint="gs://p1-bucket/model",
        )  # fmt: skip
        folder = open_folder("gs://p1-bucket/job")
        text = "".join(json.dumps(line) + "\n" for line in LINES)
        folder.write_bytes(INSTANCES, text.encode(), "application/jsonl")
        version = sdk.Model(vertex.uploaded())
        self.job = self.jobs.submit(
            "images", version, request, folder, automatic={}, batch_size=2, replicas=1
        )
        self.predictions = self.jobs.wait(self.job, len(LINES))

    def change(self, state: str, *, results: bool) -> None:
        """Let the service say that the job ended otherwise."""
        with self.vertex.world.open() as world:
            job: dict[str, Any] = world["vertex"]["jobs"][self.job.resource_name]
            job["state"] = f"JOB_STATE_{state}"
            if not results:
                del job["outputInfo"]


@pytest.fixture
def submitted(vertex: Vertex, shell: None, tmp_path: Path) -> Submitted:
    return Submitted(vertex, open_folder(str(tmp_path / "out")))


def test_job_is_found_again_by_its_images(submitted: Submitted) -> None:
    assert submitted.predictions == {line_key(line): {"echo": line} for line in LINES}
    again = submitted.jobs.find("images")
    assert again is not None
    assert again.resource_name == submitted.job.resource_name
    assert submitted.jobs.find("other images") is None
    submitted.jobs.forget()
    assert submitted.jobs.find("images") is None


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "EXPIRED", "PAUSED"])
def test_job_that_ended_without_results_is_submitted_anew(submitted: Submitted, state: str) -> None:
    submitted.change(state, results=False)
    assert submitted.jobs.find("images") is None
    with pytest.raises(OperatorError, match="the batch prediction failed") as caught:
        submitted.jobs.wait(submitted.job, len(LINES))
    assert "run again to submit anew" in caught.value.hint
    assert not submitted.output.exists(JOB)


def test_partial_success_ends_the_wait_and_its_results_are_kept(submitted: Submitted) -> None:
    submitted.change("PARTIALLY_SUCCEEDED", results=True)
    again = submitted.jobs.find("images")
    assert again is not None
    assert submitted.jobs.wait(again, len(LINES)) == submitted.predictions


def test_partial_success_without_results_is_submitted_anew(submitted: Submitted) -> None:
    submitted.change("PARTIALLY_SUCCEEDED", results=False)
    with pytest.raises(OperatorError, match="PARTIALLY_SUCCEEDED"):
        submitted.jobs.wait(submitted.job, len(LINES))
    assert submitted.jobs.find("images") is None
