"""A process that gets no further is ended, and what it did until then counts."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.run.parameters import RunParameters
from pipeline.run.step_process import ShardError
from pipeline.shard.image_in_hand import LastNote, RestartPolicy
from pipeline.shard.restart_record import stored_record
from pipeline.shard.watchdog import SILENT_SECONDS, WorkerLimits, wait_for_worker
from pipeline.steps.segment_shard import MOST_HANGS, WorkerEnd, watch_shard
from serving.storage import open_folder

SHARD = "shard-0000"


def started(code: str, note: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, str(note)], text=True)


def test_process_without_an_end_to_an_image_is_ended(tmp_path: Path) -> None:
    worker = started("import time; time.sleep(600)", tmp_path / "note")
    reason, overdue = wait_for_worker(worker, tmp_path / "note", WorkerLimits(silent_seconds=0.2))
    assert reason == "the limit of 0 s for one image" and not overdue
    assert worker.returncode == -9


def test_process_that_takes_one_image_after_the_other_goes_on(tmp_path: Path) -> None:
    code = """if True:
        import pathlib, sys, time
        for number in range(20):
            pathlib.Path(sys.argv[1]).write_text(str(number))
            time.sleep(0.15)
    """
    limits = WorkerLimits(silent_seconds=2.0)
    worker = started(code, tmp_path / "note")
    assert wait_for_worker(worker, tmp_path / "note", limits) == ("", False)
    assert worker.returncode == 0
    worker = started(code, tmp_path / "note")
    limits = dataclasses.replace(limits, total_seconds=1.0)
    assert wait_for_worker(worker, tmp_path / "note", limits) == (
        "the limit of 1 s for this shard",
        True,
    )


def test_limits_come_from_the_forecast_less_what_was_spent() -> None:
    run = RunParameters(inputs=("a",), output="b")
    assert WorkerLimits.of_run(run, 1e6).total_seconds == float("inf")
    forecast = RunParameters(inputs=("a",), output="b", forecast={"most_shard_seconds": 3600.0})
    limits = WorkerLimits.of_run(forecast, 3000.0)
    assert (limits.total_seconds, limits.silent_seconds) == (600.0, SILENT_SECONDS)
    assert WorkerLimits.of_run(forecast, 4000.0).total_seconds == 0.0


@pytest.mark.parametrize(("points", "times"), [(None, 1), (8, 1), (32, 1), (64, 4), (256, 64)])
def test_image_may_take_longer_with_more_points(points: int | None, times: int) -> None:
    run = RunParameters(inputs=("a",), output="b", points_per_side=points)
    assert WorkerLimits.of_run(run, 0.0).silent_seconds == times * SILENT_SECONDS


def test_image_that_hangs_twice_is_set_aside(tmp_path: Path) -> None:
    output = open_folder(str(tmp_path))

    def run_worker(policy: RestartPolicy) -> WorkerEnd:
        if "slow.png" in policy.skip:
            return WorkerEnd(0, LastNote())
        return WorkerEnd(-9, LastNote("slow.png", 0, True), "the limit of 1800 s for one image")

    watch_shard(output, SHARD, "run-1", run_worker)
    reason = stored_record(output, SHARD, "run-1").skip["slow.png"]
    assert "ended by the limit of 1800 s for one image" in reason


def test_one_hang_after_some_deaths_does_not_end_the_shard(tmp_path: Path) -> None:
    output = open_folder(str(tmp_path))
    ends = [WorkerEnd(-9, LastNote())] * 4
    ends += [WorkerEnd(-9, LastNote(), "the limit"), WorkerEnd(0, LastNote())]
    watch_shard(output, SHARD, "run-1", lambda _policy: ends.pop(0))
    assert ends == []


def test_process_that_hangs_before_its_first_image_ends_the_shard_soon(tmp_path: Path) -> None:
    lives: list[RestartPolicy] = []

    def run_worker(policy: RestartPolicy) -> WorkerEnd:
        lives.append(policy)
        return WorkerEnd(-9, LastNote(), "the limit of 1800 s for one image")

    with pytest.raises(ShardError, match="limit of 1800 s for one image 3 times in a row"):
        watch_shard(open_folder(str(tmp_path)), SHARD, "run-1", run_worker)
    assert len(lives) == MOST_HANGS


def test_shard_that_has_used_up_its_time_ends_and_stays_ended(tmp_path: Path) -> None:
    """Kubeflow tries the step again, on a new machine, which must not begin anew."""
    output = open_folder(str(tmp_path))
    spent: list[float] = []

    def run_worker(policy: RestartPolicy) -> WorkerEnd:
        spent.append(policy.spent_seconds)
        time.sleep(0.05)
        return WorkerEnd(-9, LastNote("a.png", 7), "the limit", overdue=True)

    for _ in range(2):
        with pytest.raises(ShardError, match=r"not finished after \d+ s.*a\.png in hand"):
            watch_shard(output, SHARD, "run-1", run_worker)
    assert spent[0] == 0.0 and spent[1] >= 0.05


def test_shard_that_is_told_to_end_has_not_died(tmp_path: Path) -> None:
    """A spot machine that is taken away says so half a minute before; no image is to blame."""
    output = open_folder(str(tmp_path))

    def run_worker(_policy: RestartPolicy) -> WorkerEnd:
        raise SystemExit(143)

    with pytest.raises(SystemExit):
        watch_shard(output, SHARD, "run-1", run_worker)
    record = stored_record(output, SHARD, "run-1")
    assert (record.running, record.restarts, record.lives) == (False, 0, 1)
