"""Whoever has lost the claim on an output writes nothing more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.local_engine import run_locally
from pipeline.run import guarded_output
from pipeline.run.claim import ClaimLostError, acquire_claim, read_claim, release_claim
from pipeline.run.guarded_output import open_output
from pipeline.run.output_layout import BATCH, LOCK
from pipeline.run.parameters import RunError, RunParameters
from pipeline.run.step_process import CLAIM_VARIABLE
from pipeline.steps.plan_shards import plan_shards
from pipeline.steps.write_report import write_report
from scripts.runs.preflight import check_run
from serving.storage import Folder, open_folder

SECONDS = 0.8


@pytest.fixture
def run(bucket: Callable[[str], str], image_folder: Path) -> RunParameters:
    return RunParameters(inputs=(str(image_folder),), output=bucket("runs/1"))


def content(output: Folder) -> dict[str, bytes]:
    """Everything that lies in an output, but its claim."""
    plans = (".run/plan.json", ".run/planned.json", ".run/shard-0000.plan.jsonl")
    names = [file.name for file in output.files()]
    names += [name for name in plans if output.exists(name)]
    return {name: output.read_bytes(name) for name in names}


def test_local_run_that_slept_too_long_writes_nothing_more(
    run: RunParameters, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A laptop wakes up and finds that another run has taken over."""
    monkeypatch.setenv(CLAIM_VARIABLE, "asleep")
    monkeypatch.setattr(guarded_output, "PROCESS_SECONDS", SECONDS)
    plain = open_folder(run.output)
    acquire_claim(plain, "asleep", SECONDS)
    output = open_output(run)
    output.write_bytes("before", b"x", "text/plain")
    time.sleep(SECONDS + 0.3)
    acquire_claim(plain, "next", 60)
    (tmp_path / "file").write_bytes(b"x")
    writes: list[Callable[[], object]] = [
        lambda: output.write_bytes("after", b"x", "text/plain"),
        lambda: output.write_from("after", tmp_path / "file", "text/plain"),
        lambda: output.upload("after", tmp_path / "file", "text/plain"),
        lambda: output.create("after", b"x"),
        lambda: output.delete("before"),
        lambda: output.delete_folder("before"),
    ]
    for write in writes:
        with pytest.raises(ClaimLostError, match=r"taken over here \(next\)"):
            write()
    assert content(plain) == {"before": b"x"}
    assert output.read_bytes("before") == b"x"


def test_process_that_writes_keeps_its_claim(
    run: RunParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CLAIM_VARIABLE, "awake")
    monkeypatch.setattr(guarded_output, "PROCESS_SECONDS", SECONDS)
    acquire_claim(open_folder(run.output), "awake", SECONDS)
    output = open_output(run)
    for _ in range(12):
        time.sleep(0.1)
        output.write_bytes("x", b"x", "text/plain")
    with pytest.raises(RunError, match=r"another run is writing here \(awake\)"):
        acquire_claim(open_folder(run.output), "next", 60)


def test_run_without_a_claim_writes_freely(run: RunParameters, tmp_path: Path) -> None:
    """A test of a step, or a local folder, which a file lock guards."""
    open_output(run).write_bytes("x", b"x", "text/plain")
    local = RunParameters(inputs=("x",), output=str(tmp_path / "out"), run_id="job")
    open_output(local).write_bytes("x", b"x", "text/plain")
    assert not (tmp_path / "out" / LOCK).exists()


def test_output_that_waits_for_a_batch_prediction_is_refused(
    image_folder: Path, tmp_path: Path
) -> None:
    """Its record lies among the working files; without it the job would go on, and bill."""
    run = RunParameters(inputs=(str(image_folder),), output=str(tmp_path / "out"))
    output = open_folder(run.output)
    output.write_bytes(BATCH, b"{}", "application/json")
    for begin in (plan_shards, run_locally, check_run):
        with pytest.raises(RunError, match="was not collected yet"):
            begin(run)
    assert output.read_bytes(BATCH) == b"{}"


@pytest.mark.parametrize("ended", [False, True])
def test_report_of_a_job_that_lost_its_claim_overwrites_nothing(
    run: RunParameters, ended: bool
) -> None:
    """The job waited more than an hour for a machine, and the next run took over."""

    def job(name: str) -> RunParameters:
        return RunParameters.from_json(json.dumps({**json.loads(run.to_json()), "run_id": name}))

    plain = open_folder(run.output)
    plan_shards(job("late"))
    acquire_claim(plain, "late", -1)
    plan_shards(job("next"))
    if ended:
        write_report(job("next"), [], "vertex")
    before = content(plain)
    with pytest.raises(ClaimLostError):
        write_report(job("late"), [], "vertex")
    assert content(plain) == before
    claim = read_claim(plain)
    assert (claim is None) if ended else (claim is not None and claim.run == "next")
    release_claim(plain, "next")
