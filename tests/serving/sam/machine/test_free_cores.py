"""An image takes the cores that other processes leave, and has the same masks on one as on two."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from serving.sam import AutomaticSettings, Engine
from serving.sam.machine import free_cores, waiting_threads
from serving.sam.machine.free_cores import FreeCores, threads_for, threads_on_free_cores
from tests.conftest import draw_scene


class Machine:
    """Four cores with a clock; others and the process itself work on some of them."""

    def __init__(self, others: float, own: float) -> None:
        self.others, self.own = others, own
        self.now = self.busy = self.mine = 0.0
        self.tells, self.spinning = True, 0
        self.free = FreeCores(
            lambda: self.busy if self.tells else None,
            lambda: self.mine,
            lambda: 1 + self.spinning + round(self.others) if self.tells else None,
            lambda: self.now,
            4,
        )

    def go_on(self, seconds: float) -> float:
        self.now += seconds
        self.mine += seconds * self.own
        self.busy += seconds * (self.own + self.others)
        return self.free()


def test_cores_of_others_are_not_free_and_our_own_are() -> None:
    machine = Machine(others=1.0, own=3.0)
    assert machine.free() == 4, "nothing was seen yet"
    assert machine.go_on(1) == pytest.approx(3)
    machine.others = 0.0
    assert machine.go_on(0.1) == pytest.approx(3), "too short a time to count in"
    assert machine.go_on(0.9) == pytest.approx(4, abs=0.2)


def test_what_others_did_before_a_pause_takes_no_core_after_it() -> None:
    machine = Machine(others=3.0, own=0.0)
    machine.go_on(0.5)
    machine.go_on(0.1)
    machine.now += 60
    machine.busy += 60 * 3.0
    machine.others = 0.0
    assert machine.free() == 4
    machine.now += 60
    machine.others = 2.0
    assert machine.free() == 2, "who works now does"


def test_own_threads_that_still_spin_after_a_long_step_are_not_others() -> None:
    machine = Machine(others=0.0, own=4.0)
    machine.spinning = 3
    assert machine.go_on(2.5) == pytest.approx(4), "a block of a large network"


def test_kernel_counts_who_runs() -> None:
    running = free_cores._running()
    assert running is not None and running >= 1


def test_machine_that_says_nothing_leaves_all_cores() -> None:
    machine = Machine(others=4.0, own=0.0)
    machine.tells = False
    assert machine.go_on(1) == 4


@pytest.mark.parametrize(
    ("free", "most", "threads"),
    [(0.0, 2, 1), (1.2, 2, 1), (1.9, 2, 2), (7.8, 4, 4), (7.8, 8, 8)],
)
def test_a_thread_for_each_free_core(free: float, most: int, threads: int) -> None:
    assert threads_for(free, most) == threads


def test_kernel_counts_the_work_of_this_process() -> None:
    """Without our own share, which ``time.process_time`` tells, nobody is left to wait for."""
    before = free_cores._busy_seconds()
    assert before is not None and before > 0
    sum(range(5_000_000))
    after = free_cores._busy_seconds()
    assert after is not None and after > before


def test_threads_are_the_callers_again_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    free = [1.0]
    monkeypatch.setattr(free_cores, "_free_cores", lambda: free[0])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(KeyError), threads_on_free_cores() as look:
            assert torch.get_num_threads() == 1
            free[0] = 5.0
            look()
            assert torch.get_num_threads() == 2, "never more than the caller has"
            raise KeyError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_thread_that_begins_while_another_has_fewer_has_its_own_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorch gives a new thread the number that was set last; which a server would keep."""
    free = [1.0]
    monkeypatch.setattr(free_cores, "_free_cores", lambda: free[0])
    monkeypatch.setattr(free_cores, "_lowered_from", 0)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ThreadPoolExecutor(1) as executor:
            with threads_on_free_cores():
                assert executor.submit(torch.get_num_threads).result() == 1
            free[0] = 2.0
            assert executor.submit(_threads_inside).result() == 2
            assert executor.submit(torch.get_num_threads).result() == 2
            executor.submit(torch.set_num_threads, 1).result()
            assert executor.submit(_threads_inside).result() == 1, "its owner's choice"
    finally:
        torch.set_num_threads(before)


def _threads_inside() -> int:
    with threads_on_free_cores():
        return torch.get_num_threads()


def test_masks_are_the_same_however_many_threads_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The policy's default decides whether the engine looks at all."""
    monkeypatch.setattr(waiting_threads, "DEFAULT", waiting_threads.SPIN_ON_FREE_CORES)
    engine, image = Engine.load("vit_tiny", device="cpu"), draw_scene(96, 64)
    used: list[int] = []
    made = []
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for free in (1.0, 2.0):
            monkeypatch.setattr(free_cores, "_free_cores", lambda free=free: free)
            made.append(
                engine.generate(
                    image,
                    AutomaticSettings(points_per_side=4),
                    on_progress=lambda _: used.append(torch.get_num_threads()),
                )
            )
    finally:
        torch.set_num_threads(before)
    assert set(used) == {1, 2}
    assert made[0] == made[1]


def test_embedding_takes_a_core_that_becomes_free_while_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine.load("vit_tiny", device="cpu")
    looks = [1.0]
    monkeypatch.setattr(free_cores, "_free_cores", lambda: looks.pop() if looks else 5.0)
    chosen: list[int] = []
    choose = torch.set_num_threads

    def noted(threads: int) -> None:
        chosen.append(threads)
        choose(threads)

    monkeypatch.setattr(torch, "set_num_threads", noted)
    before = torch.get_num_threads()
    choose(2)
    try:
        engine.embed(draw_scene(80, 60))
    finally:
        choose(before)
    assert chosen == [1, 2]
