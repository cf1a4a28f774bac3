"""What a run may ask of Cloud Storage: a bound on requests, however large the run is."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from google.cloud.aiplatform_v1.types import PipelineJob, PipelineState

from pipeline.run import output_layout
from pipeline.run.manifest import write_json
from pipeline.run.parameters import RunParameters
from pipeline.shard.image_in_hand import RestartPolicy
from pipeline.shard.segmentation import segment_images
from pipeline.steps.plan_shards import plan_shards
from scripts.cloud import vertex_sdk
from scripts.runs import following
from scripts.runs.vertex_runs import VertexRun
from scripts.terminal.errors import OperatorError
from serving.storage import Folder, open_folder
from serving.storage.client import storage_client
from tests.stand_ins.faulty_storage import FaultyStorage

SHARDS = 300
MOST_REQUESTS_A_ROUND = 10


@dataclasses.dataclass
class Counted:
    """A bucket behind a proxy that keeps the requests it meets."""

    uri: Callable[[str], str]
    direct: Folder
    requests: list[str] = dataclasses.field(default_factory=list)

    def listings(self) -> list[str]:
        return [request for request in self.requests if "prefix=" in request]


@pytest.fixture
def counted(
    bucket: Callable[[str], str], storage_server: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Counted]:
    proxy = FaultyStorage(storage_server, every=0)
    proxy.start()
    result = Counted(bucket, open_folder(bucket("runs/1")))  # its client goes past the proxy

    def keep(method: str, address: str) -> int:
        result.requests.append(f"{method} {address}")
        return 0

    proxy.intercept = keep
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
    storage_client.cache_clear()
    yield result
    proxy.stop()


class CountingJob:
    """A job that runs for some looks and then fails; each look is a request to Vertex AI."""

    error = None
    gca_resource = PipelineJob()
    task_details: ClassVar[list[Any]] = []

    def __init__(self, looks: int, requests: list[str]) -> None:
        self._left, self._requests = looks, requests

    @property
    def state(self) -> Any:
        self._requests.append("round")
        self._left -= 1
        running = PipelineState.PIPELINE_STATE_RUNNING
        return running if self._left else PipelineState.PIPELINE_STATE_FAILED


def test_follower_asks_little_at_any_number_of_shards(
    counted: Counted, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(vertex_sdk.REHEARSAL, "http://127.0.0.1:1")
    write_json(counted.direct, output_layout.PLANNED, {"todo": 10_000})
    for number in range(SHARDS):
        name = output_layout.shard_progress_name(output_layout.shard_name(number))
        text = json.dumps({"done": 20, "failed": 1, "masks": 7})
        counted.direct.write_short_text(name, text)
    job = CountingJob(4, counted.requests)
    parameters = RunParameters(
        inputs=("gs://b/images",), output=counted.uri("runs/1"), run_id="sam-1", shards=SHARDS
    )
    with pytest.raises(OperatorError, match="failed"):
        following.follow(VertexRun(job, parameters))
    assert f"{SHARDS * 21}/10000" in capsys.readouterr().err
    starts = [number for number, request in enumerate(counted.requests) if request == "round"]
    rounds = [end - start for start, end in itertools.pairwise(starts)]
    assert len(rounds) == 3
    assert max(rounds) + 1 <= MOST_REQUESTS_A_ROUND  # and one for the details of the tasks


@pytest.fixture
def planned(counted: Counted, tmp_path: Path) -> tuple[RunParameters, str]:
    """One broken image to do, in an output that holds many others' masks."""
    (tmp_path / "broken.png").write_bytes(b"no image")
    run = RunParameters(inputs=(str(tmp_path / "broken.png"),), output=counted.uri("runs/1"))
    for number in range(40):
        counted.direct.write_bytes(f"masks/other-{number}.png.json", b"{}", "application/json")
    (shard,) = plan_shards(run)
    counted.requests.clear()
    return run, shard


@pytest.mark.parametrize("first", [True, False])
def test_shard_lists_nothing_and_asks_for_its_own_images_only(
    counted: Counted, planned: tuple[RunParameters, str], first: bool
) -> None:
    """With 1000 shards that each list 100,000 masks, it took ten million names to start."""
    run, shard = planned
    segment_images(run, shard, RestartPolicy(first=first))
    assert counted.listings() == []
    reads = [name for name in counted.requests if name.startswith("GET") and "masks" in name]
    assert len(reads) == (0 if first else 1)
    assert not any("other" in name for name in counted.requests)
