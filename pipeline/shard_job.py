"""What the container of a custom job runs: one shard of a run, whose parameters lie in its output.

A custom job hands nothing back to the graph that started it. The report follows from the plan, and
the rows that the shard leaves have the name that the plan gives them.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from pipeline.run.output_layout import PARAMETERS
from pipeline.run.step_process import EXPECTED_ERRORS, run_step
from pipeline.steps.segment_shard import segment_shard
from serving.storage import StorageError, open_folder

TAKEN_AWAY = 128 + signal.SIGTERM


def main(arguments: list[str]) -> int:
    """Segment a shard.

    Args:
        arguments: the run's output, and the shard's name.

    Returns:
        The exit code of the container. The output says what a failure was, see ``run_step``.
    """
    output, shard = arguments
    signal.signal(signal.SIGTERM, _end)
    try:
        parameters = open_folder(output).read_bytes(PARAMETERS).decode()
    except StorageError as error:
        print(f"{shard}: the run's parameters cannot be read: {error}", flush=True)
        return 1
    try:
        run_step(segment_shard, parameters, shard)
    except EXPECTED_ERRORS as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    return 0


def _end(_signal: int, _frame: FrameType | None) -> None:
    """A spot machine is taken away half a minute after this signal."""
    raise SystemExit(TAKEN_AWAY)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
