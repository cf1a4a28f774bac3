"""Second step, once for each shard: start the process that segments it, again when it dies.

Not every runner of Kubeflow retries a step inside a loop, and a retry takes a new machine. This
step survives what kills a process (memory, a driver's fault): the next process goes on where the
last one ended, and the step sets aside an image that has killed its process alone.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.run.parameters import RunParameters
from pipeline.run.step_process import ShardError, environment_of_a_step
from pipeline.shard.image_in_hand import RestartPolicy, read_last_note

MOST_DEATHS = 10  # one after another, without an image finished between
MOST_DEATHS_OF_AN_IMAGE = 2  # while the process worked on nothing else
_RUN_ALONE = 3  # images after a death, so that the next death has one cause


def segment_shard(parameters: RunParameters, shard: str) -> str:
    """Run :func:`pipeline.shard.segmentation.segment_images` in a process of its own.

    Returns:
        The name of the file with the shard's manifest rows.

    Raises:
        ShardError: the process dies again and again.
        SystemExit: the process ended with an error, which it has reported itself.
    """
    skip: dict[str, str] = {}
    deaths: dict[str, int] = {}
    restarts = in_a_row = 0
    with tempfile.TemporaryDirectory(prefix="sam-shard-") as folder:
        note_path, result = Path(folder, "note"), Path(folder, "result")
        while True:
            policy = RestartPolicy(
                skip=skip, run_alone=_RUN_ALONE if in_a_row else 0, restarts=restarts
            )
            note_path.unlink(missing_ok=True)
            code = _run_worker(parameters, shard, policy, note_path, result)
            if code == 0:
                return result.read_text("utf-8")
            if code > 0:
                raise SystemExit(code)
            note, cause = read_last_note(note_path), _signal_name(-code)
            restarts += 1
            in_a_row = 1 if note.finished else in_a_row + 1
            image = note.image or "no image"
            print(f"{shard}: process ended by {cause} with {image} in hand", flush=True)
            if note.image and note.alone:
                deaths[note.image] = deaths.get(note.image, 0) + 1
                if deaths[note.image] >= MOST_DEATHS_OF_AN_IMAGE:
                    skip[note.image] = (
                        f"{note.image}: whenever it was computed its process was ended by {cause}; "
                        "is it too large for this machine's memory?"
                    )
            if in_a_row >= MOST_DEATHS:
                raise ShardError(
                    f"{shard}: its process was ended by {cause} {in_a_row} times in a row, with "
                    f"{image} in hand; the machine may lack memory for this checkpoint"
                )


def _run_worker(
    parameters: RunParameters, shard: str, policy: RestartPolicy, note_path: Path, result: Path
) -> int:
    """Run the worker to its end and return its exit code, negative for a signal."""
    order = {
        "parameters": parameters.to_json(),
        "shard": shard,
        "restart_policy": dataclasses.asdict(policy),
        "note": str(note_path),
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
