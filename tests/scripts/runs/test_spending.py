"""What a run has cost so far is counted from the times of its job, whoever looks and when."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path
from typing import Any

import pytest
from google.cloud.aiplatform_v1.types import PipelineJob, PipelineState, PipelineTaskDetail

from pipeline.run import output_layout
from pipeline.run.manifest import write_json
from pipeline.run.parameters import RunParameters
from scripts.cloud import vertex_sdk
from scripts.runs.following import follow
from scripts.runs.spending import shard_seconds
from scripts.runs.vertex_runs import VertexRun
from scripts.terminal.errors import OperatorError
from serving.storage import open_folder

NOW = datetime.datetime.now(datetime.UTC)
State = PipelineTaskDetail.State


def task(
    name: str, state: Any, began: float | None = None, ended: float | None = None,
    now: datetime.datetime = NOW,
) -> PipelineTaskDetail:  # fmt: skip
    """A task that the service created four hours ago; its times are hours before now."""

    def ago(hours: float | None) -> datetime.datetime | None:
        return None if hours is None else now - datetime.timedelta(hours=hours)

    return PipelineTaskDetail(
        task_name=name, state=state, create_time=ago(4), start_time=ago(began), end_time=ago(ended)
    )


@pytest.mark.parametrize(
    ("tasks", "hours"),
    [
        ([], 0.0),
        ([task("plan-shards", State.RUNNING, began=3)], 0.0),
        ([task("segment-shard", State.PENDING)], 0.0),
        ([task("segment-shard", State.PENDING, began=3)], 0.0),
        ([task("segment-shard", State.SKIPPED, began=3, ended=3)], 0.0),
        ([task("segment-shard", State.RUNNING, began=3)] * 4, 12.0),
        ([task("segment-shard", State.SUCCEEDED, began=3, ended=1)], 2.0),
        ([task("segment-shard", State.FAILED, began=3, ended=2.5)], 0.5),
        ([task("segment-shard", State.RUNNING, began=-1)], 0.0),
    ],
)
def test_shards_cost_while_they_run_and_not_while_they_wait(
    tasks: list[PipelineTaskDetail], hours: float
) -> None:
    assert shard_seconds(tasks, NOW) == pytest.approx(hours * 3600)


class LongRunningJob:
    """A job of four machines: three hours old when somebody rejoins it, then at its end."""

    error = None
    gca_resource = PipelineJob()

    def __init__(self, task_state: Any) -> None:
        self._states = iter([PipelineState.PIPELINE_STATE_RUNNING] * 2)
        began = None if task_state == State.PENDING else 3.0
        now = datetime.datetime.now(datetime.UTC)  # NOW may be minutes old
        self.task_details = [task("segment-shard", task_state, began=began, now=now)] * 4

    @property
    def state(self) -> Any:
        return next(self._states, PipelineState.PIPELINE_STATE_FAILED)


@pytest.mark.parametrize(("task_state", "spent"), [(State.RUNNING, 6.0), (State.PENDING, 0.0)])
def test_rejoined_run_shows_what_it_has_cost_since_its_machines_started(
    task_state: Any, spent: float, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(vertex_sdk.REHEARSAL, "http://127.0.0.1:1")
    output = open_folder(str(tmp_path))
    write_json(output, output_layout.PLANNED, {"todo": 1000})
    progress = output_layout.shard_progress_name(output_layout.shard_name(0))
    output.write_short_text(progress, json.dumps({"done": 600, "failed": 0, "masks": 7}))
    forecast = {"usd_per_shard_hour": 0.5, "parallel": 4}
    parameters = RunParameters(
        inputs=("gs://b/images",), output=str(tmp_path), run_id="sam-1", shards=4, forecast=forecast
    )
    with pytest.raises(OperatorError, match="failed"):
        follow(VertexRun(LongRunningJob(task_state), parameters))
    shown = capsys.readouterr().err
    amount = re.search(r"segmenting: 600/1000 .*\$(\d+\.\d\d) so far", shown)
    assert amount is not None, shown
    assert spent <= float(amount[1]) < spent + 0.2
