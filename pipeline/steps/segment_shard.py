"""Second step, once for each shard: start the process that segments it, again when it dies.

Not every runner of Kubeflow retries a step inside a loop, and a retry takes a new machine. This
step survives what kills a process (memory, a driver's fault): the next process goes on where the
last one ended, and the step sets aside an image that has killed its process alone. What it knows of
deaths it keeps in the output, for the step that takes over if it dies as well.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from pipeline.run.guarded_output import open_output
from pipeline.run.output_layout import shard_note_name
from pipeline.run.parameters import RunParameters
from pipeline.run.step_process import ShardError, environment_of_a_step
from pipeline.shard.image_in_hand import (
    LastNote,
    RestartPolicy,
    read_last_note,
    read_stored_note,
)
from pipeline.shard.lost_device import EXIT_CODE
from pipeline.shard.restart_record import RestartRecord, stored_record
from serving.storage import Folder


def segment_shard(parameters: RunParameters, shard: str) -> str:
    """Run :func:`pipeline.shard.segmentation.segment_images` in a process of its own.

    Returns:
        The name of the file with the shard's manifest rows.

    Raises:
        ShardError: the process dies again and again.
        SystemExit: the process ended with an error, which it has reported itself.
        StorageError: the output cannot be read or written.
    """
    with tempfile.TemporaryDirectory(prefix="sam-shard-") as folder:
        note_path, result = Path(folder, "note"), Path(folder, "result")

        def run_worker(policy: RestartPolicy) -> WorkerEnd:
            note_path.unlink(missing_ok=True)
            code = _run_worker(parameters, shard, policy, note_path, result)
            return WorkerEnd(code, read_last_note(note_path))

        watch_shard(open_output(parameters), shard, parameters.run_id, run_worker)
        return result.read_text("utf-8")


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a worker ended.

    Attributes:
        code: its exit code, negative for a signal.
        note: what it noted last.
    """

    code: int
    note: LastNote


def watch_shard(
    output: Folder, shard: str, run: str, run_worker: Callable[[RestartPolicy], WorkerEnd]
) -> None:
    """Run workers until one has taken up every image.

    Args:
        output: the run's output.
        shard: the shard's name.
        run: the run's name; another run's record of deaths does not count.
        run_worker: runs a worker to its end.

    Raises:
        ShardError: they die again and again.
        SystemExit: one ended with an error, which it has reported itself.
        StorageError: the output cannot be read or written.
    """
    record = stored_record(output, shard, run)
    if record.running:
        _died(record, shard, read_stored_note(output, shard), "the end of its container")
    while True:
        output.delete(shard_note_name(shard))
        record.begins()
        record.store(output, shard)
        end = run_worker(record.policy())
        record.running = False
        if end.code == 0:
            record.store(output, shard)
            return
        if end.code > 0 and end.code != EXIT_CODE:
            record.store(output, shard)
            raise SystemExit(end.code)
        lost_device = end.code == EXIT_CODE
        cause = "a lasting error of its GPU" if lost_device else _signal_name(-end.code)
        _died(record, shard, end.note, cause)


def _died(record: RestartRecord, shard: str, note: LastNote, cause: str) -> None:
    image = note.image or "no image"
    record.died(note, cause)
    print(f"{shard}: process ended by {cause} with {image} in hand", flush=True)
    if record.hopeless:
        raise ShardError(
            f"{shard}: its process was ended by {cause} {record.in_a_row} times in a row, with "
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
