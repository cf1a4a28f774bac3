"""A run on Vertex AI Pipelines: submitted, followed, left and rejoined."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from scripts.console import CLOUD, OperatorError, meter, operator_error
from scripts.deployment import Deployment, release_of
from scripts.estimates import COORDINATORS_SECONDS, START_SECONDS, Estimate, Work, estimate
from scripts.follow import RunMeter, duration
from scripts.image import RECORD
from scripts.prices import prices
from scripts.throughput import remember, throughput
from scripts.vertex import connect, in_rehearsal, patiently, pipeline_client

if TYPE_CHECKING:
    from pipeline.definition import Machine
    from pipeline.parameters import RunParameters

LABELS = {"app": "sam-vertex"}
ENDED = tuple(f"PIPELINE_STATE_{word}" for word in ("SUCCEEDED", "FAILED", "CANCELLED"))
_POLL_SECONDS = {True: 0.5, False: 15.0}  # in a rehearsal or not
_STEPS = {"plan-shards": "planning", "segment-shard": "segmenting", "write-report": "reporting"}


def run_image(outputs: Path, given: str) -> str:
    """The image whose steps run: the one given, the deployed model's, or the last one built.

    Raises:
        OperatorError: there is none.
    """
    if given:
        return given
    try:
        deployed = str(release_of(outputs).get("image", ""))
    except OperatorError:
        deployed = ""
    record = outputs.parent / RECORD
    if not deployed and record.exists():
        deployed = str(json.loads(record.read_text("utf-8"))["image"])
    if not deployed:
        raise OperatorError("there is no image to run", hint="sam-vertex image build, or --image")
    return deployed


def kind_of_machine(machine: Machine) -> str:
    """What measurements are kept under."""
    name = machine.accelerator or f"{machine.cpu} CPUs"
    return f"vertex, {name}" + (" (rehearsed)" if in_rehearsal() else "")


class VertexRuns:
    """Runs in one deployment.

    Args:
        found: the deployment.
    """

    def __init__(self, found: Deployment) -> None:
        self.found = found
        self.sdk = connect(found.project_id, found.region)

    def prepare(self, parameters: RunParameters) -> RunParameters:
        """Check that the steps can reach everything, and bring what only this machine has.

        Raises:
            OperatorError: a place that they cannot reach.
        """
        from pipeline.storage import SCHEME, open_folder

        found = self.found
        readable = (found.images_uri, found.pipeline_uri, found.checkpoint_uri)
        for place in parameters.inputs:
            _reachable("INPUT", place, readable, "sam-vertex images upload FOLDER")
        _reachable("--output", parameters.output, (found.pipeline_uri,), "choose a folder there")
        checkpoint = parameters.checkpoint
        if "/" in checkpoint:
            hint = "sam-vertex checkpoint upload NAME"
            _reachable("--checkpoint", checkpoint, readable, hint)
        prompts = parameters.prompts
        if prompts and not prompts.startswith(SCHEME):
            try:
                content = Path(prompts).expanduser().read_bytes()
            except OSError as error:
                raise operator_error("RunError", f"prompts file {prompts}: {error}") from error
            name = f"prompts/{hashlib.sha256(content).hexdigest()[:32]}.json"
            folder = open_folder(found.pipeline_uri)
            folder.write_bytes(name, content, "application/json")
            prompts = folder.uri_of(name)
        run_id = f"sam-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        return dataclasses.replace(parameters, prompts=prompts, run_id=run_id)

    def estimate(
        self, parameters: RunParameters, machine: Machine, parallel: int, checkpoint: str
    ) -> Estimate:
        """What the run will take, all images to be computed."""
        from pipeline.inputs import find_images

        images = find_images(parameters)
        prompted = sum(bool(image.prompts) for image in images)
        work = Work(
            automatic=len(images) - prompted,
            prompted=prompted,
            shards=parameters.shards,
            parallel=parallel,
        )
        where = kind_of_machine(machine)
        table = prices()
        hour = table.shard_hour(float(machine.cpu), machine.accelerator, machine.accelerators)
        return estimate(
            work,
            throughput(where, checkpoint, "automatic"),
            throughput(where, checkpoint, "prompted"),
            usd_per_shard_hour=hour or 0.0,
            usd_per_run=table.usd["pipeline_run"],
            start_seconds=5.0 if in_rehearsal() else START_SECONDS,
            coordinators_seconds=5.0 if in_rehearsal() else COORDINATORS_SECONDS,
        )

    def submit(self, parameters: RunParameters, machine: Machine, image: str, parallel: int) -> Any:
        """Compile the graph and submit it as the pipeline's service account; the job."""
        from google.api_core.exceptions import AlreadyExists

        from pipeline.compilation import compile_pipeline

        self._refuse_second(parameters)
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

        from pipeline.lease import holder, release
        from pipeline.storage import open_folder

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

        from pipeline.parameters import RunParameters

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
        from pipeline.storage import open_folder

        output = open_folder(parameters.output)
        forecast = parameters.forecast
        hourly = float(forecast.get("usd_per_shard_hour", 0.0)) * parameters.shards
        try:
            with meter("segmenting") as bar:
                shown = RunMeter(output, parameters.shards, bar, hourly)
                phase = ""
                while True:
                    state = patiently(lambda: job.state).name
                    now = _phase(job, state)
                    if now != phase:
                        phase = now
                        typer.echo(f"{parameters.run_id}: {phase}", err=True)
                    shown.show(phase)
                    if state in ENDED:
                        break
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

    def _failure(self, job: Any, state: str, parameters: RunParameters) -> OperatorError:
        """What went wrong, in the words of the step where it left any."""
        from pipeline.lease import release
        from pipeline.manifest import ERROR, read_json
        from pipeline.storage import StorageError, open_folder

        output = open_folder(parameters.output)
        try:
            release(output, parameters.run_id)
            if state == "PIPELINE_STATE_FAILED" and output.exists(ERROR):
                detail = read_json(output, ERROR)
                return operator_error(detail["kind"], detail["message"])
        except (StorageError, ValueError, KeyError):
            pass
        word = state.removeprefix("PIPELINE_STATE_").lower()
        message = job.error.message if job.error else "no reason was given"
        return OperatorError(
            f"{parameters.run_id} {word}: {message}",
            hint="finished images are kept: the same command again does what is left",
            exit_code=CLOUD,
        )

    def _summary(self, parameters: RunParameters, output: Any) -> dict[str, Any]:
        from pipeline.definition import GPU
        from pipeline.manifest import read_json
        from pipeline.steps.write_report import HTML, METRICS

        metrics = read_json(output, METRICS)
        machine = parameters.forecast.get("machine") or kind_of_machine(GPU)
        remember(metrics, str(machine))
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


def _reachable(what: str, place: str, folders: tuple[str, ...], hint: str) -> None:
    if not any(place == folder or place.startswith(f"{folder}/") for folder in folders):
        raise OperatorError(
            f"{what} {place}: expected a place below {' or '.join(folders)}, which the steps can "
            "reach",
            hint=hint,
        )


def say_estimate(found: Estimate, shards: int) -> None:
    """Print the prediction before anything bills."""
    typer.echo(
        f"estimate: {duration(found.seconds)}, ${found.usd:.2f} on {shards} "
        f"{'machine' if shards == 1 else 'machines'}\n  {found.basis}",
        err=True,
    )
