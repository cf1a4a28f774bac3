"""A follower that loses Vertex AI leaves the run alone and says how to rejoin it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from google.cloud.aiplatform import PipelineJob
from google.cloud.aiplatform_v1 import types
from google.cloud.aiplatform_v1.types import PipelineState

from pipeline.run import claim
from pipeline.run.output_layout import LOCK
from pipeline.run.parameters import RunParameters
from pipeline.run.step_process import run_step
from scripts.cloud import vertex_sdk
from scripts.rehearsal.processes import free_port
from scripts.runs import following
from scripts.runs.following import follow
from scripts.runs.vertex_runs import RunState, VertexRun
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import quiet
from serving.storage import StorageError, open_folder


class UnreachableJob:
    """A job whose server is gone."""

    @property
    def state(self) -> Any:
        return requests.get(f"http://127.0.0.1:{free_port()}/", timeout=1)


class InterruptedJob:
    """A job whose follower presses Ctrl-C."""

    @property
    def state(self) -> Any:
        raise KeyboardInterrupt


class ForeignJob:
    """A job that answers what nobody expects."""

    state = None


def run_of(job: Any, output: Path) -> VertexRun:
    parameters = RunParameters(inputs=("gs://b/images",), output=str(output), run_id="sam-1")
    return VertexRun(job, parameters)


def test_lost_connection_says_how_to_rejoin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vertex_sdk, "RETRY_SECONDS", 0.2)
    monkeypatch.setattr(vertex_sdk, "FIRST_PAUSE_SECONDS", 0.05)
    with pytest.raises(OperatorError, match="lost the connection to sam-1") as caught:
        follow(run_of(UnreachableJob(), tmp_path))
    assert caught.value.hint == "rejoin: sam-vertex run --attach sam-1"
    assert caught.value.exit_code == 1


def test_interrupted_follower_leaves_the_run_and_says_how_to_end_it(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="left sam-1, which goes on") as caught:
        follow(run_of(InterruptedJob(), tmp_path))
    assert "--attach sam-1" in caught.value.hint and "pipeline cancel sam-1" in caught.value.hint
    assert caught.value.exit_code == 130


class WaitingJob:
    """A job that waits for a machine during some looks, and then fails."""

    task_details: ClassVar[list[Any]] = []
    gca_resource = types.PipelineJob()

    def __init__(self, looks: int) -> None:
        self._left = looks

    @property
    def state(self) -> Any:
        self._left -= 1
        pending = PipelineState.PIPELINE_STATE_PENDING
        return pending if self._left else PipelineState.PIPELINE_STATE_FAILED


def test_follower_keeps_the_claim_of_a_run_that_waits_for_its_machines(
    bucket: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With flex for up to a day, and the claim lasts an hour."""
    monkeypatch.setenv(vertex_sdk.REHEARSAL, "http://127.0.0.1:1")  # looks every half second
    monkeypatch.setattr(claim, "JOB_SECONDS", 2.0)
    output = open_folder(bucket("runs/1"))
    claim.acquire_claim(output, "sam-1", 2.0)
    generations = set()

    class Watched(WaitingJob):
        @property
        def state(self) -> Any:
            stored = output.stat(LOCK)
            generations.add(stored.generation if stored else 0)
            return super().state

    parameters = RunParameters(inputs=("gs://b/x",), output=output.uri, run_id="sam-1")
    with pytest.raises(OperatorError, match="failed"):
        follow(VertexRun(Watched(8), parameters))
    assert len(generations) > 2, "it was written anew while nobody but the follower was there"
    assert 0 not in generations


class FinishedJob:
    """A job whose report somebody has removed."""

    task_details: ClassVar[list[Any]] = []
    state = PipelineState.PIPELINE_STATE_SUCCEEDED


@pytest.mark.parametrize(
    ("job", "error"), [(ForeignJob(), AttributeError), (FinishedJob(), StorageError)]
)
def test_any_other_end_keeps_its_words_and_says_how_to_rejoin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], job: Any, error: type[Exception]
) -> None:
    with pytest.raises(error), quiet(True):
        follow(run_of(job, tmp_path))
    shown = capsys.readouterr().err
    assert "which goes on; rejoin: sam-vertex run --attach sam-1" in shown


class FailedJob:
    """A job that has failed without saying why."""

    task_details: ClassVar[list[Any]] = []
    state = PipelineState.PIPELINE_STATE_FAILED


def test_unexpected_error_of_a_step_is_told_with_where_its_traceback_is(tmp_path: Path) -> None:
    run = run_of(FailedJob(), tmp_path)

    def step(_parameters: RunParameters) -> None:
        raise MemoryError("no room")

    with pytest.raises(MemoryError):
        run_step(step, run.parameters.to_json())
    with pytest.raises(OperatorError) as caught:
        follow(run)
    assert str(caught.value) == "unexpected MemoryError: no room"
    traceback_file = tmp_path / ".run" / "error.json"
    assert str(traceback_file) in caught.value.hint
    assert "in step" in traceback_file.read_text()
    assert caught.value.exit_code == 1


def test_what_vertex_ai_says_of_a_failed_job_reaches_the_operator(tmp_path: Path) -> None:
    """By the SDK's own job, which hands its error on in its resource only."""
    job = object.__new__(PipelineJob)
    job._gca_resource = types.PipelineJob(
        name="projects/1/locations/us-west1/pipelineJobs/sam-1",
        error={"code": 8, "message": "custom_model_training_nvidia_t4_gpus is used up"},
    )
    output = open_folder(str(tmp_path))
    failed = following._failure(run_of(job, tmp_path), RunState("failed"), output)
    assert "T4" in str(failed).upper() and "is used up" in str(failed)
    assert failed.exit_code == 1
