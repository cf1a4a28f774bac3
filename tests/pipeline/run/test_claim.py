"""One run at a time over one output; another run takes over the claim of a dead one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.run import claim as claims
from pipeline.run.claim import (
    Claim,
    acquire_claim,
    claimed,
    read_claim,
    release_claim,
    renew_claim,
)
from pipeline.run.output_layout import LOCK
from pipeline.run.parameters import RunError, RunParameters
from pipeline.steps.plan_shards import plan_shards
from pipeline.steps.write_report import write_report
from serving.storage import Folder, open_folder


@pytest.fixture
def output(bucket: Callable[[str], str]) -> Folder:
    return open_folder(bucket("runs/1"))


def owner(output: Folder) -> str | None:
    claim: Claim | None = read_claim(output)
    return claim.run if claim is not None else None


def test_second_run_is_refused_until_the_first_releases_its_claim(output: Folder) -> None:
    acquire_claim(output, "first", 60)
    acquire_claim(output, "first", 60)  # its retried step
    with pytest.raises(RunError, match=r"another run is writing here \(first\)"):
        acquire_claim(output, "second", 60)
    release_claim(output, "second")  # not its own
    assert owner(output) == "first"
    release_claim(output, "first")
    acquire_claim(output, "second", 60)


def test_next_run_takes_over_the_claim_of_a_dead_one_when_its_time_is_over(output: Folder) -> None:
    acquire_claim(output, "dead", -1)
    acquire_claim(output, "next", 60)
    assert owner(output) == "next"
    output.write_bytes(LOCK, b"not ours {", "text/plain")
    acquire_claim(output, "after", 60)
    assert owner(output) == "after"


@pytest.mark.parametrize("hours", [-5, 5])
def test_wrong_clock_of_a_machine_neither_takes_a_claim_nor_keeps_one(
    output: Folder, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """Two machines' clocks are never compared: Cloud Storage says when a claim was written."""
    acquire_claim(output, "first", 60)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + hours * 3600)
    with pytest.raises(RunError, match=r"writing here \(first\).*ends in [56]\d s"):
        acquire_claim(output, "second", 60)
    renew_claim(output, "first", 0.1)
    release_claim(output, "first")
    acquire_claim(output, "dead", 0.1)
    time.sleep(0.2)
    acquire_claim(output, "next", 60)
    assert owner(output) == "next"


def test_claim_of_an_older_version_is_respected(output: Folder) -> None:
    """It names the time of its end by its writer's clock; it counts as an hour from its write."""
    output.write_bytes(LOCK, b'{"run": "older", "until": 1.0}', "application/json")
    with pytest.raises(RunError, match=r"another run is writing here \(older\)"):
        acquire_claim(output, "next", 60)


def test_claim_that_its_own_run_acquires_again_lasts_anew(output: Folder) -> None:
    acquire_claim(output, "run", 60)
    first = output.stat(LOCK)
    acquire_claim(output, "run", 60)
    again = output.stat(LOCK)
    assert first is not None and again is not None and first.generation != again.generation


@pytest.mark.parametrize("dead", [False, True])
def test_one_of_many_runs_gets_the_claim(output: Folder, dead: bool) -> None:
    """Where nobody owns it, and where its owner is dead."""
    if dead:
        acquire_claim(output, "dead", -1)
    winners: list[str] = []

    def attempt(name: str) -> None:
        try:
            acquire_claim(output, name, 60)
            winners.append(name)
        except RunError:
            return

    threads = [threading.Thread(target=attempt, args=(f"run-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert owner(output) == winners[0]


def test_run_that_slept_learns_that_another_has_taken_over(output: Folder) -> None:
    acquire_claim(output, "asleep", -1)
    acquire_claim(output, "next", 60)
    with pytest.raises(RunError, match=r"taken over here \(next\)"):
        renew_claim(output, "asleep", 60)
    release_claim(output, "asleep")
    assert owner(output) == "next"


def test_process_renews_its_claim_on_a_bucket_and_releases_it(
    output: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "PROCESS_SECONDS", 0.8)
    with claimed(output, "first"):
        time.sleep(1.0)  # longer than the claim lasts unless the process renews it
        with pytest.raises(RunError, match="another run"), claimed(output, "second"):
            pass
    assert read_claim(output) is None


def test_local_claim_is_a_file_lock(tmp_path: Path) -> None:
    """A second run is refused; the lock file stays, since removing it would split the waiters."""
    folder = open_folder(str(tmp_path / "out"))
    with claimed(folder, "first"):
        again = claimed(open_folder(folder.uri), "second")
        with pytest.raises(RunError, match="another run is writing here"), again:
            pass
        acquire_claim(folder, "job", 60)  # a job's claim changes nothing on this machine
        renew_claim(folder, "job", 60)
    with claimed(folder, "second"):
        pass


def test_local_claim_follows_no_link(tmp_path: Path) -> None:
    """Somebody else's file behind a link is neither locked nor emptied."""
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / LOCK).symlink_to(target)
    with pytest.raises(Exception, match=str(tmp_path)), claimed(open_folder(str(tmp_path)), "run"):
        pass
    assert target.read_text() == "precious"


def test_job_claims_with_its_plan_and_releases_with_its_report(
    image_folder: object, output: Folder
) -> None:
    run = RunParameters(inputs=(str(image_folder),), output=output.uri, run_id="sam-1")
    plan_shards(run)
    assert owner(output) == "sam-1"
    other = RunParameters.from_json(json.dumps({**json.loads(run.to_json()), "run_id": "sam-2"}))
    with pytest.raises(RunError, match="sam-1"):
        plan_shards(other)
    write_report(run, [], "vertex")
    assert read_claim(output) is None
