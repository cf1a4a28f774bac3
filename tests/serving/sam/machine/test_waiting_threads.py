"""Waiting threads sleep in every process of ours that computes, unless its owner says otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pipeline.run.step_process import environment_of_a_step
from serving.sam.machine.waiting_threads import let_waiting_threads_sleep


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


def test_threads_of_a_shard_sleep_while_they_wait() -> None:
    assert wait_policy("import pipeline.shard.worker, torch", environment_of_a_step()) == "PASSIVE"


def test_threads_of_the_model_server_sleep_while_they_wait() -> None:
    assert wait_policy("import serving.server, torch", dict(os.environ)) == "PASSIVE"


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_owner_of_a_machine_has_chosen_stays(name: str) -> None:
    environment = {name: "ACTIVE"}
    let_waiting_threads_sleep(environment)
    assert environment == {name: "ACTIVE"}
