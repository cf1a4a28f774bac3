"""Second step, once for each shard: start the process that segments it, again when it dies.

Not every runner of Kubeflow retries a step inside a loop, and a retry takes a new machine. This
step survives what kills a process (memory, a driver's fault): the next process goes on where the
last one ended, and the step sets aside an image that has killed its process alone. It ends a
process that hangs. What it knows of deaths it keeps in the output, for the step that takes over if
it dies as well.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
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
from pipeline.shard.restart_record import MOST_DEATHS, RestartRecord, stored_record
from pipeline.shard.watchdog import WorkerLimits, wait_for_worker
from serving.storage import Folder

_LACKS_MEMORY = "does this machine lack memory for it?"
MOST_HANGS = 3  # one after another, each of half an hour


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
            limits = WorkerLimits.of_run(parameters, policy.spent_seconds)
            with _started_worker(parameters, shard, policy, note_path, result) as worker:
                ended_by, overdue = wait_for_worker(worker, note_path, limits)
            return WorkerEnd(worker.returncode, read_last_note(note_path), ended_by, overdue)

        watch_shard(open_output(parameters), shard, parameters.run_id, run_worker)
        return result.read_text("utf-8")


@dataclasses.dataclass(frozen=True, slots=True)
class WorkerEnd:
    """How a worker ended.

    Attributes:
        code: its exit code, negative for a signal.
        note: what it noted last.
        ended_by: the limit by which it was ended; empty where it ended by itself.
        overdue: whether the shard has used up all its time.
    """

    code: int
    note: LastNote
    ended_by: str = ""
    overdue: bool = False

    @property
    def cause(self) -> str:
        """What ended it."""
        if self.code == EXIT_CODE:
            return "a lasting error of its GPU"
        return self.ended_by or _signal_name(-self.code)


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
        started = time.monotonic()
        try:
            end = run_worker(record.policy())
        except BaseException:  # told to end, as before a spot machine is taken away: no death
            record.ended(time.monotonic() - started)
            record.store(output, shard)
            raise
        record.ended(time.monotonic() - started)
        if end.code == 0:
            record.store(output, shard)
            return
        if end.code > 0 and end.code != EXIT_CODE:
            record.store(output, shard)
            raise SystemExit(end.code)
        if end.overdue:
            record.store(output, shard)
            raise ShardError(
                f"{shard}: not finished after {record.seconds:.0f} s, many times its estimate; "
                f"ended with {end.note.image or 'no image'} in hand. Run again for the rest, with "
                "more --shards if the estimate was too low"
            )
        _died(record, shard, end.note, end.cause, hung=bool(end.ended_by))


def _died(
    record: RestartRecord, shard: str, note: LastNote, cause: str, *, hung: bool = False
) -> None:
    image = note.image or "no image"
    way_out = "does its GPU or the storage hang?" if hung else _LACKS_MEMORY
    record.died(note, cause, way_out, hung=hung)
    print(f"{shard}: process ended by {cause} with {image} in hand", flush=True)
    if record.hangs >= MOST_HANGS or record.in_a_row >= MOST_DEATHS:
        times = record.hangs if hung else record.in_a_row
        raise ShardError(
            f"{shard}: its process was ended by {cause} {times} times in a row, with "
            f"{image} in hand; {way_out}"
        )


@contextlib.contextmanager
def _started_worker(
    parameters: RunParameters, shard: str, policy: RestartPolicy, note_path: Path, result: Path
) -> Iterator[subprocess.Popen[str]]:
    """Start the worker; it has ended when the block has, however that ends."""
    order = {
        "parameters": parameters.to_json(),
        "shard": shard,
        "restart_policy": dataclasses.asdict(policy),
        "note": str(note_path),
        "result": str(result),
    }
    command = [sys.executable, "-m", "pipeline.shard.worker"]
    with subprocess.Popen(  # noqa: S603  (our own module, by our own interpreter)
        command, stdin=subprocess.PIPE, env=environment_of_a_step(), text=True
    ) as worker:
        try:
            assert worker.stdin is not None  # noqa: S101  (asked for above)
            with contextlib.suppress(BrokenPipeError), worker.stdin as order_pipe:
                json.dump(order, order_pipe)
            yield worker
        finally:
            worker.kill()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
