"""One run at a time over one output of a bucket; a dead holder is succeeded."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable

import pytest

from pipeline.local_engine import _only_one
from pipeline.run import claim as lease
from pipeline.run.parameters import RunError, RunParameters
from pipeline.steps.plan_shards import plan_shards
from pipeline.steps.write_report import write_report
from serving.storage import Folder, open_folder


@pytest.fixture
def output(bucket: Callable[[str], str]) -> Folder:
    return open_folder(bucket("runs/1"))


def test_second_run_is_refused_until_the_first_lets_go(output: Folder) -> None:
    lease.acquire(output, "first", 60)
    lease.acquire(output, "first", 60)  # its retried step
    with pytest.raises(RunError, match=r"another run is writing here \(first\)"):
        lease.acquire(output, "second", 60)
    lease.release(output, "second")  # not its own
    assert lease.holder(output)["run"] == "first"  # type: ignore[index]
    lease.release(output, "first")
    lease.acquire(output, "second", 60)


def test_dead_holder_is_succeeded_when_its_time_is_over(output: Folder) -> None:
    lease.acquire(output, "dead", -1)
    lease.acquire(output, "next", 60)
    assert lease.holder(output)["run"] == "next"  # type: ignore[index]
    output.write_bytes(lease.LOCK, b"not ours {", "text/plain")
    lease.acquire(output, "after", 60)
    assert lease.holder(output)["run"] == "after"  # type: ignore[index]


@pytest.mark.parametrize("dead", [False, True])
def test_of_many_at_once_one_gets_it(output: Folder, dead: bool) -> None:
    """The first claim, and the succession of a dead holder."""
    if dead:
        lease.acquire(output, "dead", -1)
    won: list[str] = []

    def attempt(name: str) -> None:
        try:
            lease.acquire(output, name, 60)
            won.append(name)
        except RunError:
            return

    threads = [threading.Thread(target=attempt, args=(f"run-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert lease.holder(output)["run"] == won[0]  # type: ignore[index]


def test_holder_that_was_succeeded_is_told_when_it_wakes_up(output: Folder) -> None:
    lease.acquire(output, "asleep", -1)
    lease.acquire(output, "next", 60)
    with pytest.raises(RunError, match=r"taken over here \(next\)"):
        lease.renew(output, "asleep", 60)
    lease.release(output, "asleep")
    assert lease.holder(output)["run"] == "next"  # type: ignore[index]


def test_local_engine_over_a_bucket_holds_it_and_lets_go(
    output: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LOCAL_SECONDS", 0.8)
    with _only_one(output.uri):
        first = lease.holder(output)
        assert first is not None
        time.sleep(1.0)  # longer than its claim: it is renewed
        with pytest.raises(RunError, match="another run"), _only_one(output.uri):
            pass
        later = lease.holder(output)
        assert later is not None and later["until"] > first["until"]
    assert lease.holder(output) is None


def test_job_claims_with_its_plan_and_lets_go_with_its_report(
    image_folder: object, output: Folder
) -> None:
    run = RunParameters(inputs=(str(image_folder),), output=output.uri, run_id="sam-1")
    plan_shards(run)
    assert lease.holder(output)["run"] == "sam-1"  # type: ignore[index]
    other = RunParameters.from_json(json.dumps({**json.loads(run.to_json()), "run_id": "sam-2"}))
    with pytest.raises(RunError, match="sam-1"):
        plan_shards(other)
    write_report(run, [], "vertex")
    assert lease.holder(output) is None
