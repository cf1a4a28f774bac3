"""What a run on Vertex AI has cost so far, counted from the times of its tasks.

That a task's ``start_time`` leaves out its wait for a machine is UNVERIFIED.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from scripts.runs.vertex_runs import SEGMENT

_WITHOUT_MACHINE = ("PENDING", "SKIPPED", "NOT_TRIGGERED")


def shard_seconds(tasks: Iterable[Any], now: datetime.datetime) -> float:
    """Add up how long the machines of the shards have run; a task that waits for one is free.

    Args:
        tasks: ``PipelineTaskDetail`` of the job's tasks.
        now: the end of those that still run.
    """
    seconds = 0.0
    for task in tasks:
        has_machine = task.start_time and task.state.name not in _WITHOUT_MACHINE
        if task.task_name == SEGMENT and has_machine:
            lasted: datetime.timedelta = (task.end_time or now) - task.start_time
            seconds += max(lasted.total_seconds(), 0.0)  # the service's clock may be ahead
    return seconds
