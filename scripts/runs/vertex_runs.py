"""A run on Vertex AI Pipelines: submitted, followed, left and rejoined."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from scripts.cloud.deployment import Deployment
from scripts.cloud.vertex_sdk import connect, in_rehearsal, patiently, pipeline_client
from scripts.costs.throughput import remember
from scripts.runs.following import RunMeter
from scripts.terminal.errors import CALLER, CLOUD, OperatorError
from scripts.terminal.progress import meter

if TYPE_CHECKING:
    from pipeline.definition import Machine
    from pipeline.run.parameters import RunParameters
    from serving.storage import Folder

LABELS = {"app": "sam-vertex"}
ENDED = tuple(f"PIPELINE_STATE_{word}" for word in ("SUCCEEDED", "FAILED", "CANCELLED"))
_POLL_SECONDS = {True: 0.5, False: 15.0}  # in a rehearsal or not
_STEPS = {"plan-shards": "planning", "segment-shard": "segmenting", "write-report": "reporting"}


class VertexRuns:
    """Runs in one deployment.

    Args:
        found: the deployment.
    """

    def __init__(self, found: Deployment) -> None:
        self.found = found
        self.sdk = connect(found.project_id, found.region)

    def submit(self, parameters: RunParameters, machine: Machine, image: str, parallel: int) -> Any:
        """Compile the graph and submit it as the pipeline's service account; the job."""
        from google.api_core.exceptions import AlreadyExists

        from pipeline.definition import compile_pipeline
        from pipeline.run.manifest import ERROR, PLANNED
        from serving.storage import open_folder

        self._refuse_second(parameters)
        for stale in (ERROR, PLANNED):  # an earlier run's would be taken for this one's
            open_folder(parameters.output).delete(stale)
        found = self.found
        parent = f"projects/{found.project_id}/locations/{found.region}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "pipeline.json")
            compile_pipeline(path, image=image, machine=machine, parallelism=parallel)
            job = {
                "display_name": parameters.run_id,
                "pipeline_spec": json.loads(path.read_text("utf-8")),
                "runtime_config": {
                    "gcs_output_directory": f"{found.pipeline_uri}/root",
                    "parameter_values": {"parameters": parameters.to_json()},
                },
                "service_account": found.service_accounts["pipeline"],
                "labels": LABELS,
            }
            if found.kms_key:
                job["encryption_spec"] = {"kms_key_name": found.kms_key}
        client = pipeline_client(found.region)
        with contextlib.suppress(AlreadyExists):  # the answer to a first try was lost
            patiently(
                lambda: client.create_pipeline_job(
                    parent=parent, pipeline_job=job, pipeline_job_id=parameters.run_id
                )
            )
        return patiently(lambda: self.sdk.PipelineJob.get(parameters.run_id))

    def _refuse_second(self, parameters: RunParameters) -> None:
        """Refuse before a machine starts; take over what a job that has ended left claimed."""
        from google.api_core.exceptions import NotFound

        from pipeline.run.claim import holder, release
        from serving.storage import open_folder

        output = open_folder(parameters.output)
        held = holder(output)
        if held is None:
            return
        try:
            job = patiently(lambda: self.sdk.PipelineJob.get(str(held["run"])))
            state = patiently(lambda: job.state).name
        except (NotFound, ValueError):
            return  # no job: the plan looks at the time that is written there
        if state in ENDED:
            release(output, held["run"])
            return
        raise OperatorError(
            f"{parameters.output}: another run is writing here ({held['run']})",
            hint=f"follow it: sam-vertex run --attach {held['run']}",
        )

    def attach(self, name: str) -> tuple[Any, RunParameters]:
        """A job that was submitted earlier, and its parameters.

        Raises:
            OperatorError: there is none, or it is not one of ours.
        """
        from google.api_core.exceptions import NotFound

        from pipeline.run.parameters import RunParameters

        try:
            job = patiently(lambda: self.sdk.PipelineJob.get(name))
            values = dict(job.gca_resource.runtime_config.parameter_values)
            return job, RunParameters.from_json(str(values["parameters"]))
        except (NotFound, ValueError) as error:
            raise OperatorError(
                f"there is no run {name} in {self.found.project_id}, {self.found.region}",
                hint="sam-vertex pipeline list",
            ) from error
        except KeyError as error:
            raise OperatorError(
                f"{name} is not a run of this project", hint="sam-vertex pipeline list"
            ) from error

    def follow(self, job: Any, parameters: RunParameters) -> dict[str, Any]:
        """Show how far a job is until it ends; its summary.

        Raises:
            OperatorError: it failed or was cancelled, or the operator left.
        """
        from serving.storage import open_folder

        output = open_folder(parameters.output)
        forecast = parameters.forecast
        at_once = int(forecast.get("parallel", parameters.shards))
        hourly = float(forecast.get("usd_per_shard_hour", 0.0)) * at_once
        try:
            with meter("segmenting") as bar:
                shown = RunMeter(output, parameters.shards, bar, hourly)
                phase, hopeless = "", False
                while True:
                    state = patiently(lambda: job.state).name
                    now = _phase(job, state)
                    if now != phase:
                        phase = now
                        typer.echo(f"{parameters.run_id}: {phase}", err=True)
                    shown.show(phase)
                    if state in ENDED:
                        break
                    told = None if hopeless else self._error(output, parameters.run_id)
                    if told is not None and told.exit_code == CALLER:
                        # Kubeflow would try it twice more, each time on a new machine.
                        hopeless = True
                        patiently(job.cancel)
                    time.sleep(_POLL_SECONDS[in_rehearsal()])
        except KeyboardInterrupt as error:
            raise OperatorError(
                f"left {parameters.run_id}, which goes on",
                hint=f"rejoin: sam-vertex run --attach {parameters.run_id}; "
                f"end it: sam-vertex pipeline cancel {parameters.run_id}",
                exit_code=130,
            ) from error
        if state != "PIPELINE_STATE_SUCCEEDED":
            raise self._failure(job, state, parameters)
        return self._summary(parameters, output)

    def _error(self, output: Folder, run: str) -> OperatorError | None:
        """What a step of the run has left, if one has failed."""
        from pipeline.run.manifest import ERROR, read_json
        from serving.storage import StorageError

        try:
            detail = read_json(output, ERROR) if output.exists(ERROR) else {}
            if detail.get("run") != run:
                return None
            return OperatorError.explained(
                detail["message"], hint=detail["hint"], callers_fault=detail["callers_fault"]
            )
        except (StorageError, ValueError, KeyError):
            return None

    def _failure(self, job: Any, state: str, parameters: RunParameters) -> OperatorError:
        """What went wrong, in the words of the step where it left any."""
        from pipeline.run.claim import release
        from serving.storage import StorageError, open_folder

        output = open_folder(parameters.output)
        with contextlib.suppress(StorageError):
            release(output, parameters.run_id)
        told = self._error(output, parameters.run_id)
        if told is not None:
            return told
        word = state.removeprefix("PIPELINE_STATE_").lower()
        message = job.error.message if job.error else "no reason was given"
        return OperatorError(
            f"{parameters.run_id} {word}: {message}",
            hint="finished images are kept: the same command again does what is left",
            exit_code=CLOUD,
        )

    def _summary(self, parameters: RunParameters, output: Folder) -> dict[str, Any]:
        from pipeline.run.manifest import read_json
        from pipeline.steps.write_report import HTML, METRICS

        metrics = read_json(output, METRICS)
        remember(metrics, str(parameters.forecast.get("machine", "vertex")))
        return {
            "images": metrics["images"],
            "failed": metrics["failed"],
            "computed": metrics["run"]["computed"],
            "masks": metrics["masks"],
            "report": output.uri_of(HTML),
            "too_many_failed": parameters.too_many_failed(metrics["failed"], metrics["images"]),
            "wall_seconds": metrics["run"]["wall_seconds"],
            "cost_usd": metrics["cost_usd"],
        }


def _phase(job: Any, state: str) -> str:
    """What goes on, by the last task that runs."""
    if state in ENDED:
        return state.removeprefix("PIPELINE_STATE_").lower()
    running = [task.task_name for task in job.task_details if task.state.name == "RUNNING"]
    for name, words in reversed(_STEPS.items()):
        if name in running:
            return words
    return state.removeprefix("PIPELINE_STATE_").lower()
