"""``sam-vertex batch-predict``: a folder of images through a Vertex batch prediction."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.run.manifest import PLAN, PlannedImage, plan_lines, read_done, write_json
from pipeline.run.parameters import RunParameters, fingerprint, parse_max_failed
from scripts.batch_predictions.input_lines import Line, input_lines, line_key, prompts_of
from scripts.cloud import deployment
from scripts.commands import options
from scripts.releases.request import ReleaseRequest, read_request
from scripts.terminal.errors import CLOUD, OperatorError, reporting_errors
from scripts.terminal.progress import meter
from serving.sam.errors import ImageError
from serving.storage import WORK, Folder, StorageError, open_folder

EXAMPLE = (
    "Example: sam-vertex batch-predict gs://BUCKET/batch-prediction-images --output out/ "
    "--prompts prompts.json"
)
JOB = f"{WORK}/batch.json"
ROWS = f"{WORK}/batch.rows.jsonl"
_ENDED = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")


def batch_predict(
    inputs: options.Inputs,
    output: options.Output,
    prompts: options.Prompts = "",
    batch_size: Annotated[
        int, typer.Option(help="Instances in a request; the service's own default is 64.", min=1)
    ] = 2,
    replicas: Annotated[int, typer.Option(help="Machines that work on it.", min=1)] = 1,
    machine: Annotated[str, typer.Option(help="Machine; default: as the endpoint's.")] = "",
    accelerator: Annotated[
        str, typer.Option(help="Its accelerator, or none; default: as the endpoint's.")
    ] = "",
    max_masks: options.MaxMasks = 10,
    points_per_side: options.PointsPerSide = None,
    max_failed: options.MaxFailed = "0.5",
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Segment every image of INPUT with the released model, without an endpoint's limits.

    OUTPUT looks like that of 'sam-vertex run': masks, overlays, manifest with failures, reports. A
    second run does only what is left; one that was interrupted while waiting finds its job again.
    """
    with reporting_errors(debug):
        changes = {"machine": machine, "accelerator": accelerator}
        plan = read_request(outputs, **changes)
        if accelerator == "none":
            plan = dataclasses.replace(plan, accelerator="")
        parameters = RunParameters(
            inputs=tuple(inputs),
            output=output,
            prompts=prompts,
            max_masks=max_masks,
            points_per_side=points_per_side,
            max_failed=parse_max_failed(max_failed),
        )
        batch = Batch(plan, deployment.Deployment.from_outputs(outputs), parameters)
        summary = batch.run(batch_size=batch_size, replicas=replicas)
        if as_json:
            typer.echo(json.dumps(summary))
        else:
            typer.echo(
                f"{summary['images']} images, {summary['failed']} failed, "
                f"{summary['computed']} computed, {summary['masks']} masks\n"
                f"report: {summary['report']}"
            )
        if summary["too_many_failed"]:
            raise OperatorError(
                f"{summary['failed']} of {summary['images']} images failed",
                hint=f"the reasons are in {output}/failed.jsonl; --max-failed allows more",
            )


class Batch:
    """One batch prediction and its output.

    Args:
        plan: the model and its machine.
        found: the deployment, for its bucket.
        parameters: inputs and output, as of a run.
    """

    def __init__(
        self, plan: ReleaseRequest, found: deployment.Deployment, parameters: RunParameters
    ) -> None:
        from scripts.cloud.vertex_sdk import connect

        self.plan, self.found, self.parameters = plan, found, parameters
        self.output = open_folder(parameters.output)
        self._sdk = connect(plan.project_id, plan.region)
        self._automatic = parameters.automatic_overrides()

    def run(self, *, batch_size: int, replicas: int) -> dict[str, Any]:
        """Do what is left of the images and write the report."""
        from pipeline.run.input_images import find_images
        from pipeline.steps.plan_shards import planned_image
        from pipeline.steps.write_report import write_report

        images = find_images(self.parameters)
        model, version = self._model()
        decides = {"model": version["sha256"], "automatic": self._automatic}
        planned = [planned_image(image, decides) for image in images]
        todo = [one for one in planned if read_done(self.output, one.name, one.fingerprint) is None]
        rows: list[str] = []
        if todo:
            names = {one.name for one in todo}
            wanted = [image for image in images if image.name in names]
            identity = fingerprint({"todo": sorted(one.fingerprint for one in todo)})
            job_folder = open_folder(f"{self.found.pipeline_uri}/batch-{identity[:16]}")
            lines, rows = self._write_input(wanted, todo, job_folder)
            if lines:
                job = self._find_or_submit(identity, model, job_folder, batch_size, replicas)
                results = self._wait(job, len(lines))
                rows += self._collect(lines, todo, results, version)
            job_folder.delete_folder("images")
        self.output.delete(JOB)
        self.output.write_bytes(PLAN, plan_lines(planned), "application/jsonl")
        self.output.write_bytes(ROWS, "".join(rows).encode(), "application/jsonl")
        summary = write_report(self.parameters, [ROWS], "vertex-batch")
        return {name: getattr(summary, name) for name in summary.__slots__}

    def _model(self) -> tuple[Any, dict[str, str]]:
        """The live version and what it is made of."""
        from google.api_core.exceptions import NotFound

        from scripts.cloud.vertex_sdk import patiently
        from scripts.releases.registry import description_of

        try:
            model = patiently(lambda: self._sdk.Model(f"{self.plan.model_name}@live"))
        except NotFound as error:
            raise OperatorError(
                "no version is released", hint="sam-vertex model release", exit_code=CLOUD
            ) from error
        alias = next((one for one in model.version_aliases if one.startswith("r-")), "")
        name = description_of(model)["checkpoint"] or model.display_name
        return model, {"name": name, "sha256": alias or f"version {model.version_id}"}

    def _write_input(
        self, images: list[Any], planned: list[PlannedImage], job: Folder
    ) -> tuple[list[Line], list[str]]:
        """Write the JSON lines; images that cannot even be read are failed rows."""
        from pipeline.shard.image_outputs import failed_row
        from scripts.batch_predictions.results import SHARD

        readable = [f"{self.found.images_uri}/", f"{self.found.pipeline_uri}/"]
        by_name = {one.name: one for one in planned}
        lines: list[Line] = []
        rows: list[str] = []
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "instances.jsonl")
            with path.open("w", encoding="utf-8") as file, meter("preparing") as bar:
                for number, image in enumerate(images):
                    try:
                        found = input_lines(image, job, readable)
                    except (StorageError, ImageError) as error:
                        rows.append(failed_row(by_name[image.name], str(error), SHARD).to_line())
                        continue
                    for line in found:
                        file.write(json.dumps(line.instance) + "\n")
                        # The content is in the bucket now and need not stay in memory.
                        kept = {k: v for k, v in line.instance.items() if k != "image"}
                        lines.append(Line(line.image, line.objects, kept))
                    bar.update(number + 1, len(images))
            if lines:
                job.write_from("instances.jsonl", path, "application/jsonl")
        return lines, rows

    def _find_or_submit(
        self, identity: str, model: Any, job: Folder, batch_size: int, replicas: int
    ) -> Any:
        from google.api_core.exceptions import NotFound

        from scripts.cloud.vertex_sdk import patiently

        if self.output.exists(JOB):
            earlier = json.loads(self.output.read_bytes(JOB))
            if earlier.get("identity") == identity:
                try:
                    found = patiently(lambda: self._sdk.BatchPredictionJob(earlier["job"]))
                    if found.state.name not in ("JOB_STATE_FAILED", "JOB_STATE_CANCELLED"):
                        typer.echo(f"found job {found.resource_name} again", err=True)
                        return found
                except NotFound:
                    pass
        plan = self.plan
        submitted = self._sdk.BatchPredictionJob.submit(
            job_display_name=f"{plan.model_id}-{identity[:8]}",
            model_name=model.versioned_resource_name,
            instances_format="jsonl",
            predictions_format="jsonl",
            gcs_source=[job.uri_of("instances.jsonl")],
            gcs_destination_prefix=job.uri_of("results"),
            model_parameters={"mask_format": "rle", "return_logits": False, **self._automatic},
            machine_type=plan.machine,
            accelerator_type=plan.accelerator or None,
            accelerator_count=plan.accelerator_count if plan.accelerator else None,
            starting_replica_count=replicas,
            max_replica_count=replicas,
            batch_size=batch_size,
            service_account=plan.service_account or None,
            encryption_spec_key_name=plan.kms_key or None,
            labels={"app": "sam-vertex"},
        )
        content = {"identity": identity, "job": submitted.resource_name}
        write_json(self.output, JOB, content)
        typer.echo(f"submitted {submitted.resource_name}", err=True)
        return submitted

    def _wait(self, job: Any, total: int) -> dict[str, dict[str, Any]]:
        """Wait for the job; every line's prediction by the line's key.

        Raises:
            OperatorError: the job failed and left no result at all.
        """
        from scripts.batch_predictions.results import read_results
        from scripts.cloud.vertex_sdk import patiently, poll_seconds

        with meter("predicting", unit="lines") as bar:
            while True:
                state = patiently(lambda: job.state).name
                statistics = job.completion_stats
                done = statistics.successful_count + statistics.failed_count if statistics else 0
                bar.update(done, total, state.removeprefix("JOB_STATE_").lower())
                if state in _ENDED:
                    break
                time.sleep(poll_seconds())
        info = job.output_info
        folder = str(info.gcs_output_directory) if info else ""
        results = dict(read_results(open_folder(folder))) if folder else {}
        if state != "JOB_STATE_SUCCEEDED" and not results:
            message = job.error.message if job.error else state
            raise OperatorError(
                f"the batch prediction failed: {message}",
                hint="its log in the Google Cloud console has more; run again to submit anew",
                exit_code=CLOUD,
            )
        return results

    def _collect(
        self,
        lines: list[Line],
        planned: list[PlannedImage],
        results: dict[str, dict[str, Any]],
        model: dict[str, str],
    ) -> list[str]:
        """Write masks and pictures of every image; return the manifest's rows."""
        from pipeline.shard.image_outputs import done_row, failed_row
        from scripts.batch_predictions.results import SHARD, merge_records, write_image

        by_image: dict[str, list[Line]] = {}
        for line in lines:
            by_image.setdefault(line.image, []).append(line)
        rows = []
        with meter("collecting") as bar:
            for number, one in enumerate(planned):
                asked = by_image.get(one.name, [])
                if not asked:
                    continue
                answers = [(line.objects, results.get(line_key(line.instance))) for line in asked]
                try:
                    content = write_image(
                        self.output,
                        one,
                        merge_records(answers, prompts_of(one)),
                        model=model,
                        max_masks=self.parameters.max_masks,
                        automatic=self._automatic,
                    )
                    rows.append(done_row(one, content).to_line())
                except (OperatorError, ImageError) as error:
                    rows.append(failed_row(one, str(error), SHARD).to_line())
                bar.update(number + 1, len(planned))
        return rows
