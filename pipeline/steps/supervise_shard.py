"""The second step's outside: a shard's process, started again when it dies.

Not every runner of Kubeflow retries a step inside a loop, and a retry is a new machine. What kills
a process (memory, a driver's fault) is survived here: the next life goes on where the last one
ended, and an image that has killed its process alone is set aside.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline.run.parameters import RunParameters
from pipeline.shard.image_in_hand import read_hand
from pipeline.shard.step_process import ShardError, environment_of_a_step

MOST_DEATHS = 10  # one after another, without an image finished between
MOST_DEATHS_OF_AN_IMAGE = 2  # while nothing else was in hand
_ONE_BY_ONE = 3  # images after a death, so that the next one has one cause


def supervise_shard(parameters: RunParameters, shard: str) -> str:
    """Run :func:`pipeline.steps.segment_shard.segment_shard` in a process of its own.

    Returns:
        The name of the file with the shard's manifest rows.

    Raises:
        ShardError: its process dies again and again.
        SystemExit: it ended with an error of its own, which it has told.
    """
    skip: dict[str, str] = {}
    deaths: dict[str, int] = {}
    restarts = in_a_row = 0
    with tempfile.TemporaryDirectory(prefix="sam-shard-") as folder:
        hand, result = Path(folder, "hand"), Path(folder, "result")
        while True:
            care = {
                "skip": skip,
                "one_by_one": _ONE_BY_ONE if in_a_row else 0,
                "restarts": restarts,
            }
            hand.unlink(missing_ok=True)
            code = _live(parameters, shard, care, hand, result)
            if code == 0:
                return result.read_text("utf-8")
            if code > 0:
                raise SystemExit(code)
            said, how = read_hand(hand), _signal_name(-code)
            restarts += 1
            in_a_row = 1 if said.finished else in_a_row + 1
            where = said.image or "no image"
            print(f"{shard}: process ended by {how} with {where} in hand", flush=True)
            if said.image and said.alone:
                deaths[said.image] = deaths.get(said.image, 0) + 1
                if deaths[said.image] >= MOST_DEATHS_OF_AN_IMAGE:
                    skip[said.image] = (
                        f"{said.image}: whenever it was computed its process was ended by {how}; "
                        "is it too large for this machine's memory?"
                    )
            if in_a_row >= MOST_DEATHS:
                raise ShardError(
                    f"{shard}: its process was ended by {how} {in_a_row} times in a row, with "
                    f"{where} in hand; the machine may lack memory for this checkpoint"
                )


def _live(
    parameters: RunParameters, shard: str, care: dict[str, Any], hand: Path, result: Path
) -> int:
    """One life: its exit code, negative for a signal."""
    order = {
        "parameters": parameters.to_json(),
        "shard": shard,
        "care": care,
        "hand": str(hand),
        "result": str(result),
    }
    return subprocess.run(
        [sys.executable, "-m", "pipeline.shard.worker"],
        input=json.dumps(order),
        env=environment_of_a_step(),
        text=True,
        check=False,
    ).returncode


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
