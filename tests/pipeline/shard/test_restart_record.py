"""Whatever kills the processes of a shard, and in whatever order, the shard ends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.run.output_layout import shard_restarts_name
from pipeline.run.step_process import ShardError
from pipeline.shard.image_in_hand import InHand, LastNote, RestartPolicy, read_last_note
from pipeline.shard.lost_device import EXIT_CODE
from pipeline.shard.restart_record import MOST_DEATHS, RestartRecord, stored_record
from pipeline.steps.segment_shard import WorkerEnd, watch_shard
from serving.storage import open_folder

SHARD = "shard-0000"
GOOD, BAD, KILLER, GPU_KILLER, GREEDY = "good", "bad", "killer", "gpu killer", "greedy"
# A greedy image kills its process as soon as it is read, also while another is computed.
KILLERS = (KILLER, GPU_KILLER, GREEDY)
READ_AHEAD = 3


class ContainerDied(Exception):
    """The machine of the step is gone, and the step with it."""


class Machine:
    """Workers that take up a list of images as the real one does, without computing anything."""

    def __init__(self, folder: Path, kinds: list[str], container_deaths: Iterator[bool]) -> None:
        self.output = open_folder(str(folder / "out"))
        self.note = folder / "note"
        self.images = {f"{number:03d}-{kind}": kind for number, kind in enumerate(kinds)}
        self.done: set[str] = set()
        self.failed: set[str] = set()
        self.lives = 0
        self._container_deaths = container_deaths

    def run(self, policy: RestartPolicy) -> WorkerEnd:
        self.lives += 1
        assert self.lives < 1000, "it would go on for ever"
        self.note.unlink(missing_ok=True)
        self.failed = set()  # rows of failed images are the process's own
        in_hand = InHand(self.note, self.output, SHARD, policy.run_alone)
        left = [image for image in self.images if image not in self.done]
        for number, image in enumerate(left):
            in_hand.begin(image)
            ahead = [] if in_hand.alone else left[number : number + 1 + READ_AHEAD]
            kind = self.images[image]
            greedy = [near for near in ahead if self.images[near] == GREEDY]
            if any(near not in policy.skip for near in greedy):
                return self._killed()
            if image in policy.skip or kind == BAD:
                self.failed.add(image)
                in_hand.finish(computed=False)
            elif kind == GPU_KILLER:
                return WorkerEnd(EXIT_CODE, read_last_note(self.note))
            elif kind in KILLERS:
                return self._killed()
            else:
                self.done.add(image)
                in_hand.finish(computed=True)
        return WorkerEnd(0, LastNote())

    def _killed(self) -> WorkerEnd:
        if next(self._container_deaths, False):
            raise ContainerDied
        return WorkerEnd(-9, read_last_note(self.note))


def watch(machine: Machine) -> int:
    """Run the step, again whenever its container dies; how many containers died."""
    containers = 0
    while True:
        try:
            watch_shard(machine.output, SHARD, "run-1", machine.run)
        except ContainerDied:
            containers += 1
        else:
            return containers


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.sampled_from([GOOD, GOOD, BAD, *KILLERS]), max_size=40),
    container_deaths=st.lists(st.booleans(), max_size=12),
)
def test_any_list_of_images_ends_with_all_that_can_be_done(
    kinds: list[str], container_deaths: list[bool]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(Path(folder), kinds, iter(container_deaths))
        watch(machine)
        killers = sum(kind in KILLERS for kind in kinds)
        assert machine.lives <= 2 * killers + 10
        good = {image for image, kind in machine.images.items() if kind == GOOD}
        assert machine.done == good
        assert machine.failed == set(machine.images) - good


@pytest.mark.parametrize(
    ("kinds", "most_lives"),
    [
        ([BAD, BAD, BAD, KILLER], 4),  # 26 lives in 90 s, and no end, before
        ([KILLER] * 4, 10),  # likewise: no bad image needed
        ([KILLER] * 30, 65),
        ([GOOD, GOOD, GOOD, GOOD, KILLER] * 6, 17),
    ],
    ids=["bad images first", "four killers", "thirty killers", "far apart"],
)
def test_lists_that_once_never_ended(tmp_path: Path, kinds: list[str], most_lives: int) -> None:
    machine = Machine(tmp_path, kinds, iter(()))
    watch(machine)
    assert machine.lives <= most_lives
    assert len(machine.done) == kinds.count(GOOD)


def test_processes_that_die_without_an_image_end_the_shard(tmp_path: Path) -> None:
    output = open_folder(str(tmp_path / "out"))
    lives: list[RestartPolicy] = []

    def run_worker(policy: RestartPolicy) -> WorkerEnd:
        lives.append(policy)
        return WorkerEnd(-9, LastNote())

    with pytest.raises(ShardError, match="SIGKILL 10 times in a row, with no image in hand"):
        watch_shard(output, SHARD, "run-1", run_worker)
    assert len(lives) == MOST_DEATHS


def test_image_that_kills_although_it_was_set_aside_ends_the_shard(tmp_path: Path) -> None:
    """Each of its deaths was taken for one cause less, and the shard went on for ever."""
    lives: list[RestartPolicy] = []

    def run_worker(policy: RestartPolicy) -> WorkerEnd:
        lives.append(policy)
        assert len(lives) < 100, "it would go on for ever"
        return WorkerEnd(-9, LastNote("x.png", 0, True))

    with pytest.raises(ShardError, match=r"in a row, with x\.png in hand"):
        watch_shard(open_folder(str(tmp_path / "out")), SHARD, "run-1", run_worker)
    assert "x.png" in lives[-1].skip
    assert len(lives) <= MOST_DEATHS + 2


def test_error_that_the_worker_reported_ends_the_step(tmp_path: Path) -> None:
    output = open_folder(str(tmp_path / "out"))
    with pytest.raises(SystemExit) as ended:
        watch_shard(output, SHARD, "run-1", lambda _policy: WorkerEnd(1, LastNote()))
    assert ended.value.code == 1
    assert not stored_record(output, SHARD, "run-1").running


def test_record_of_another_run_or_a_torn_one_is_not_taken_over(tmp_path: Path) -> None:
    output = open_folder(str(tmp_path / "out"))
    RestartRecord(run="run-1", restarts=3, skip={"a": "why"}).store(output, SHARD)
    assert stored_record(output, SHARD, "run-1").restarts == 3
    assert stored_record(output, SHARD, "run-2") == RestartRecord(run="run-2")
    output.write_bytes(shard_restarts_name(SHARD), b'{"run": "run-1", "rest', "application/json")
    torn = stored_record(output, SHARD, "run-1")
    assert torn == RestartRecord(run="run-1", lives=1)
    torn.begins()
    assert not torn.policy().first, "what an earlier process has finished must be looked for"
