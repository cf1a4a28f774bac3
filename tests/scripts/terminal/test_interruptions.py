"""The first interruption cleans up; a second one, meant as such, does not wait for that."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

# A command that takes two seconds to clean up, as one does that tells a slow bucket of its end.
COMMAND = """
import time, typer
from scripts.terminal.errors import reporting_errors
def command():
    with reporting_errors(False):
        try:
            print("works", flush=True)
            time.sleep(60)
        finally:
            print("cleans up", flush=True)
            time.sleep(2)
            print("has cleaned up", flush=True)
typer.run(command)
"""


def interrupted(signals: list[tuple[float, signal.Signals]]) -> tuple[int, str, str, float]:
    """Run the command and send it signals, each after a pause.

    Returns:
        Its exit code, both outputs, and how long it still took after the last signal.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "works\n"
    for pause, number in signals:
        time.sleep(pause)
        process.send_signal(number)
    sent = time.monotonic()
    stdout, stderr = process.communicate(timeout=20)
    return process.returncode, stdout, stderr, time.monotonic() - sent


@pytest.mark.parametrize(
    "signals",
    [
        [(0.0, signal.SIGINT)],
        [(0.0, signal.SIGTERM)],
        # A wrapper passes on what the terminal has sent to the whole group already.
        [(0.0, signal.SIGINT), (0.1, signal.SIGINT)],
        [(0.0, signal.SIGINT), (0.1, signal.SIGTERM)],
        [(0.0, signal.SIGTERM), (0.1, signal.SIGTERM)],
    ],
)
def test_one_interruption_cleans_up_even_if_it_comes_twice(
    signals: list[tuple[float, signal.Signals]],
) -> None:
    code, stdout, stderr, _ = interrupted(signals)
    assert code == 130 and "has cleaned up" in stdout
    assert stderr.splitlines()[0] == "error: interrupted" and len(stderr.splitlines()) == 2


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_second_interruption_leaves_at_once_and_says_so(
    first: signal.Signals, second: signal.Signals
) -> None:
    code, stdout, stderr, seconds = interrupted([(0.0, first), (0.8, second)])
    assert code == 130 and seconds < 0.8
    assert "cleans up" in stdout and "has cleaned up" not in stdout
    error, hint = stderr.splitlines()
    assert error == "error: interrupted again: left before everything was cleaned up"
    assert hint == "hint: run the same command again: it goes on where it stopped"
