"""Threads wait as the default policy has it in every process of ours that computes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.run.step_process import environment_of_a_step
from serving.sam.machine import waiting_threads
from serving.sam.machine.waiting_threads import set_waiting


def wait_policy(program: str, environment: dict[str, str]) -> str:
    """The policy that OpenMP itself says it has in a process (``OMP_DISPLAY_ENV``)."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, "OMP_DISPLAY_ENV": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [line for line in done.stderr.splitlines() if "OMP_WAIT_POLICY" in line]
    return line.partition("=")[2].strip(" '")


@pytest.fixture(autouse=True)
def no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)


def test_threads_of_a_shard_wait_as_the_default_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set before PyTorch is loaded: OpenMP itself says so."""
    monkeypatch.setattr(waiting_threads, "DEFAULT", waiting_threads.SLEEP)
    assert wait_policy("import pipeline.shard.worker, torch", environment_of_a_step()) == "PASSIVE"


def test_threads_of_the_model_server_wait_as_the_default_has_it() -> None:
    program = (
        "from serving.sam.machine import waiting_threads\n"
        "waiting_threads.DEFAULT = waiting_threads.SLEEP\n"
        "import serving.server, torch"
    )
    assert wait_policy(program, dict(os.environ)) == "PASSIVE"


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_owner_of_a_machine_has_chosen_stays(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_threads, "DEFAULT", waiting_threads.SLEEP)
    environment = {name: "ACTIVE"}
    set_waiting(environment)
    assert environment == {name: "ACTIVE"}
