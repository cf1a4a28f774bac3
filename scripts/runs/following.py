"""A run on Vertex AI, followed to its end by the command that submitted it or by another."""

from __future__ import annotations

import contextlib
import datetime
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from scripts.cloud.vertex_sdk import is_transient, patiently, poll_seconds
from scripts.costs.throughput import remember
from scripts.runs.progress import RunMeter
from scripts.runs.spending import shard_seconds
from scripts.runs.summary import Summary, summary_of_output
from scripts.runs.vertex_runs import SEGMENT, RunState, VertexRun, state_of
from scripts.terminal.errors import CALLER, CLOUD, OperatorError
from scripts.terminal.interruptions import INTERRUPTED
from scripts.terminal.progress import meter, report_event, report_line

if TYPE_CHECKING:
    from serving.storage import Folder

_PHASES = {"plan-shards": "planning", SEGMENT: "segmenting", "write-report": "reporting"}


def follow(run: VertexRun) -> Summary:
    """Show how far a run is until it ends.

    Returns:
        Its summary. This machine remembers the time of an image for later estimates.

    Raises:
        OperatorError: the run failed or was cancelled; or the operator left it, or the connection
            to Vertex AI broke, and the run goes on.
    """
    from pipeline.run.manifest import read_json
    from pipeline.run.output_layout import METRICS
    from serving.storage import open_folder

    parameters = run.parameters
    output = open_folder(parameters.output)
    rejoin = f"rejoin: sam-vertex run --attach {parameters.run_id}"
    try:
        state = _follow_to_end(run, output)
        metrics = read_json(output, METRICS) if state.succeeded else {}
    except KeyboardInterrupt as error:
        raise OperatorError(
            f"left {parameters.run_id}, which goes on",
            hint=f"{rejoin}; end it: sam-vertex pipeline cancel {parameters.run_id}",
            exit_code=INTERRUPTED,
        ) from error
    except Exception as error:
        if not is_transient(error):
            # It has its own words; what they leave out is that the run does not end with them.
            report_event(f"stopped following {parameters.run_id}, which goes on; {rejoin}")
            raise
        raise OperatorError(
            f"lost the connection to {parameters.run_id}, which goes on: {error}",
            hint=rejoin,
            exit_code=CLOUD,
        ) from error
    if not state.succeeded:
        raise _failure(run, state, output)
    remember(metrics, str(parameters.forecast.get("machine", "vertex")))
    return summary_of_output(parameters, output, metrics)


def _follow_to_end(run: VertexRun, output: Folder) -> RunState:
    """Poll a run and show its progress; return the state in which it ended."""
    parameters, forecast = run.parameters, run.parameters.forecast
    at_once = int(forecast.get("parallel", parameters.shards))
    usd_per_shard_hour = float(forecast.get("usd_per_shard_hour", 0.0))
    with meter("segmenting", notes_time=True) as bar:
        run_meter = RunMeter(output, bar, usd_per_shard_hour * at_once)
        shown_phase, cancelled = "", False
        claim = _ClaimKeeper(output, parameters.run_id)
        while True:
            claim.keep()
            state = state_of(patiently(lambda: run.job.state))
            tasks = patiently(lambda: run.job.task_details)
            phase = _phase(tasks, state)
            if phase != shown_phase:
                shown_phase = phase
                report_line(f"{parameters.run_id}: {phase}")
            hours = shard_seconds(tasks, datetime.datetime.now(datetime.UTC)) / 3600
            run_meter.show(phase, usd_spent=hours * usd_per_shard_hour)
            if state.ended:
                return state
            error = None if cancelled else _step_error(output, parameters.run_id)
            if error is not None and error.exit_code == CALLER:
                # The step would be tried again, RETRIES times, each time on a new machine.
                cancelled = True
                patiently(run.job.cancel)
            time.sleep(poll_seconds())


class _ClaimKeeper:
    """Renews a run's claim on its output while no process of the run may be there to do so.

    A shard may wait for its machine far longer than the claim lasts, with flex for a day.
    """

    def __init__(self, output: Folder, run_id: str) -> None:
        self._output, self._run_id = output, run_id
        self._renewed = time.monotonic()

    def keep(self) -> None:
        """Renew the claim where a quarter of its time is over; a lost one is the run's matter."""
        from pipeline.run.claim import JOB_SECONDS, ClaimLostError, renew_claim
        from serving.storage import StorageError

        if time.monotonic() - self._renewed >= JOB_SECONDS / 4:
            self._renewed = time.monotonic()
            with contextlib.suppress(StorageError, ClaimLostError):
                renew_claim(self._output, self._run_id, JOB_SECONDS)


def _phase(tasks: Sequence[Any], state: RunState) -> str:
    """What the run does now: the last of its steps that runs, else the job's state."""
    if not state.ended:
        running = [task.task_name for task in tasks if task.state.name == "RUNNING"]
        for step, phase in reversed(_PHASES.items()):
            if step in running:
                return phase
    return state.name


def _step_error(output: Folder, run_id: str) -> OperatorError | None:
    """The error that a step of the run has written to the output; ``None`` if there is none."""
    from pipeline.run.manifest import read_json
    from pipeline.run.output_layout import ERROR
    from serving.storage import StorageError

    try:
        detail = read_json(output, ERROR) if output.exists(ERROR) else {}
        if detail.get("run") != run_id:
            return None
        hint = detail["hint"] or (
            f"its traceback is in {output.uri_of(ERROR)}; finished images are kept: the same "
            "command again does what is left"
        )
        return OperatorError.explained(
            detail["message"], hint=hint, callers_fault=detail["callers_fault"]
        )
    except (StorageError, ValueError, KeyError):
        return None


def _failure(run: VertexRun, state: RunState, output: Folder) -> OperatorError:
    """Why a run failed, as its step explained it, else as Vertex AI does."""
    from pipeline.run.claim import release_claim
    from serving.storage import StorageError

    run_id = run.parameters.run_id
    with contextlib.suppress(StorageError):
        release_claim(output, run_id)
    error = _step_error(output, run_id)
    if error is not None:
        return error
    message = run.job.gca_resource.error.message or "no reason was given"
    return OperatorError(
        f"{run_id} {state.name}: {message}",
        hint="finished images are kept: the same command again does what is left",
        exit_code=CLOUD,
    )
