"""The first interruption cleans up; a second one, meant as such, does not wait for that."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

# A command that takes its time to clean up, as one does that tells a slow bucket of its end.
COMMAND = """
import sys, time
from scripts.terminal.command_line import CommandGroup
from scripts.terminal.errors import reporting_errors
seconds = float(sys.argv.pop())
def command():
    with reporting_errors(False):
        try:
            print("works", flush=True)
            time.sleep(60)
        finally:
            print("cleans up", flush=True)
            time.sleep(seconds)
            print("has cleaned up", flush=True)
group = CommandGroup(help="Commands.")
group.callback()(lambda: None)
group.command("command")(command)
group(["command"])
"""


def interrupted(
    signals: list[tuple[float, signal.Signals]], cleaning_seconds: float
) -> tuple[int, str, str]:
    """Send the command signals, each after a pause; return its exit code and both outputs."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(cleaning_seconds)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "works\n"
    for pause, number in signals:
        time.sleep(pause)
        process.send_signal(number)
    try:
        stdout, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
    return process.returncode, stdout, stderr


@pytest.mark.parametrize(
    "signals",
    [
        [(0.0, signal.SIGINT)],
        [(0.0, signal.SIGTERM)],
        # A wrapper passes on what the terminal has sent to the whole group already.
        [(0.0, signal.SIGINT), (0.05, signal.SIGINT)],
        [(0.0, signal.SIGINT), (0.05, signal.SIGTERM)],
        [(0.0, signal.SIGTERM), (0.05, signal.SIGTERM)],
    ],
)
def test_one_interruption_cleans_up_even_if_it_comes_twice(
    signals: list[tuple[float, signal.Signals]],
) -> None:
    code, stdout, stderr = interrupted(signals, cleaning_seconds=0.3)
    assert code == 130 and "has cleaned up" in stdout
    assert stderr.splitlines()[0] == "error: interrupted" and len(stderr.splitlines()) == 2


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_second_interruption_leaves_at_once_and_says_so(
    first: signal.Signals, second: signal.Signals
) -> None:
    code, stdout, stderr = interrupted([(0.0, first), (0.7, second)], cleaning_seconds=60)
    assert code == 130
    assert "cleans up" in stdout and "has cleaned up" not in stdout
    error, hint = stderr.splitlines()
    assert error == "error: interrupted again: left before everything was cleaned up"
    assert hint == "hint: run the same command again: it goes on where it stopped"


def test_interruption_while_the_program_is_imported_leaves_no_traceback() -> None:
    program = (
        "import os, signal, sys\n"
        "sys.argv[0] = '/somewhere/sam-vertex'\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'scripts.commands':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "import scripts.cli\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")
