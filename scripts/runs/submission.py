"""A run on Vertex AI, checked here, estimated and submitted."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.cloud.deployment import Deployment
from scripts.cloud.project_state import refuse_unready
from scripts.cloud.vertex_sdk import in_rehearsal, patiently
from scripts.costs.estimates import Estimate
from scripts.runs import forecast
from scripts.runs.preflight import check_run
from scripts.runs.preparation import (
    check_reachable,
    new_run_id,
    steps_image,
    with_uploaded_prompts,
)
from scripts.runs.quota import check_quota
from scripts.runs.vertex_runs import VertexRun, VertexRuns, console_link, labels_of, state_of
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import report_event, report_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.machines import Capacity, Machine
    from pipeline.run.input_images import InputImage
    from pipeline.run.parameters import RunParameters


def submit_run(
    parameters: RunParameters,
    *,
    outputs: Path,
    parallel: int,
    accelerator: str,
    capacity: Capacity = "standard",
    image: str = "",
    agree: Callable[[list[InputImage], Estimate], None] = lambda _images, _estimate: None,
) -> VertexRun:
    """Check and estimate a run, then submit it; it goes on without this process.

    This function loads Vertex AI's SDK, which takes seconds, only after every check that can do
    without it, and writes to the bucket only after the last.

    Args:
        parameters: what the operator wants; a known checkpoint is named, not located.
        outputs: file that 'cdktf deploy' wrote.
        parallel: shards that run at once.
        accelerator: of a shard's machine; empty for a CPU.
        capacity: how the machines of the shards are reserved.
        image: container image of the steps; empty for the deployed or the last built one.
        agree: is told what the run will take before anything is written; raises to prevent it.

    Raises:
        OperatorError: the deployment, an input, the image or the output cannot be used, nobody pays
            for the project, or another run writes to the output.
        RunError, SamError, StorageError: an input, the prompts or the checkpoint cannot be used.
    """
    from pipeline.machines import Machine

    machine = Machine(accelerator=accelerator, capacity=capacity)
    deployment = Deployment.from_outputs(outputs)
    checkpoint = parameters.checkpoint
    parameters = dataclasses.replace(
        parameters,
        checkpoint=deployment.uploaded_checkpoint_uri(checkpoint),
        # A rehearsal computes on what this machine has.
        device="cuda" if accelerator and not in_rehearsal() else "auto",
        run_id=new_run_id(),
    )
    check_reachable(deployment, parameters)
    image = steps_image(outputs, image)
    images = check_run(parameters).images

    at_once = min(parallel, parameters.shards)
    estimated = forecast.forecast(
        images,
        machine=machine,
        checkpoint=checkpoint,
        shards=parameters.shards,
        parallel=parallel,
    )
    report_line(forecast.describe(estimated, at_once))
    refuse_unready(deployment.project_id, ("aiplatform",), report_event)
    check_quota(deployment, accelerator, at_once, capacity)
    agree(images, estimated)
    content = {
        **estimated.to_json(),
        "machine": forecast.measured_as(machine),
        "parallel": at_once,
        "most_shard_seconds": forecast.most_shard_seconds(estimated, parameters.shards, at_once),
    }
    parameters = dataclasses.replace(parameters, forecast=content)

    runs = VertexRuns(deployment)
    _refuse_second_run(runs, parameters)
    parameters = with_uploaded_prompts(deployment, parameters, images)
    job = _submit(runs, parameters, machine, image, parallel)
    report_event(f"submitted {parameters.run_id}")
    if not in_rehearsal():
        report_event(f"  {console_link(deployment, parameters.run_id)}")
    return VertexRun(job, parameters)


def _refuse_second_run(runs: VertexRuns, parameters: RunParameters) -> None:
    """Refuse before a machine starts; release a claim whose job has ended without doing so."""
    from google.api_core.exceptions import NotFound

    from pipeline.run.claim import read_claim, release_claim
    from serving.storage import open_folder

    output = open_folder(parameters.output)
    claim = read_claim(output)
    if claim is None:
        return
    try:
        job = runs.job(claim.run)
        ended = state_of(patiently(lambda: job.state)).ended
    except (NotFound, ValueError):
        return  # no job: the plan looks at the time that is written in the claim
    if ended:
        release_claim(output, claim.run)
        return
    raise OperatorError(
        f"{parameters.output}: another run is writing here ({claim.run})",
        hint=f"follow it: sam-vertex run --attach {claim.run}",
    )


def _submit(
    runs: VertexRuns, parameters: RunParameters, machine: Machine, image: str, parallel: int
) -> Any:
    """Compile the graph and submit it as the pipeline's service account; return the job."""
    from google.api_core.exceptions import AlreadyExists

    from pipeline.components.segment_shard_job import ShardJob
    from pipeline.definition import RETRY_SECONDS, compile_pipeline
    from pipeline.run.output_layout import ERROR, PLANNED
    from scripts.cloud.vertex_sdk import pipeline_client
    from serving.storage import open_folder

    for stale in (ERROR, PLANNED):  # a follower would take an earlier run's for this one's
        open_folder(parameters.output).delete(stale)
    deployment = runs.deployment
    parent = f"projects/{deployment.project_id}/locations/{deployment.region}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.json")
        # Kubeflow's local runner, which a rehearsal uses, waits before a retry as Vertex AI does.
        retry_seconds = 1 if in_rehearsal() else RETRY_SECONDS
        shard_job = None
        if machine.capacity != "standard":
            shard_job = ShardJob(
                output=parameters.output,
                service_account=deployment.service_accounts["pipeline"],
                kms_key=deployment.kms_key,
                labels=labels_of(parameters.run_id),
                most_seconds=parameters.forecast["most_shard_seconds"],
            )
        compile_pipeline(
            path,
            image=image,
            machine=machine,
            parallelism=parallel,
            retry_seconds=retry_seconds,
            shard_job=shard_job,
        )
        job = {
            "display_name": parameters.run_id,
            "pipeline_spec": json.loads(path.read_text("utf-8")),
            "runtime_config": {
                "gcs_output_directory": f"{deployment.pipeline_uri}/root",
                "parameter_values": {"parameters": parameters.to_json()},
            },
            "service_account": deployment.service_accounts["pipeline"],
            "labels": labels_of(parameters.run_id),
            "preflight_validations": True,
        }
        if deployment.kms_key:
            job["encryption_spec"] = {"kms_key_name": deployment.kms_key}
    client = pipeline_client(deployment.region, deployment.project_id)
    with contextlib.suppress(AlreadyExists):  # the answer to a first try was lost
        patiently(
            lambda: client.create_pipeline_job(
                parent=parent, pipeline_job=job, pipeline_job_id=parameters.run_id
            )
        )
    return runs.job(parameters.run_id)
