"""A folder of images through a Vertex batch prediction, into the output of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipeline.run.input_images import find_images
from pipeline.run.manifest import PlannedImage, finished, plan_lines
from pipeline.run.output_layout import PLAN
from pipeline.run.parameters import RunParameters, fingerprint
from pipeline.shard.image_outputs import failed_row
from pipeline.steps.plan_shards import planned_image
from pipeline.steps.write_report import RunSummary, write_report
from scripts.batch_predictions.input_lines import write_input
from scripts.batch_predictions.jobs import BatchJobs
from scripts.batch_predictions.results import SHARD, write_images
from scripts.cloud.deployment import Deployment
from scripts.cloud.vertex_sdk import connect
from scripts.releases.registry import LIVE, VersionRegistry, content_alias, description_of
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import report_line
from serving.storage import WORK, open_folder

ROWS = f"{WORK}/batch.rows.jsonl"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BatchPrediction:
    """A batch prediction and its output.

    Attributes:
        request: names the model and the machine.
        deployment: names the bucket's folders.
        parameters: inputs and output, as of a run.
        batch_size: instances in a request.
        replicas: machines.
    """

    request: ReleaseRequest
    deployment: Deployment
    parameters: RunParameters
    batch_size: int
    replicas: int

    def run(self) -> RunSummary:
        """Predict the images that have no masks yet, and write the report of all.

        Raises:
            OperatorError: no version is released, or the job failed.
            RunError: an input is missing or holds no image.
            StorageError: the output or the bucket cannot be read or written.
        """
        parameters = self.parameters
        output = open_folder(parameters.output)
        sdk = connect(self.request.project_id, self.request.region)
        images = find_images(parameters)
        version = self._live_version(sdk)
        model = _model_of(version)
        automatic = parameters.automatic_overrides()
        settings = {"model": model["sha256"], "automatic": automatic}
        planned = [planned_image(image, settings) for image in images]
        done = finished(output, planned)
        todo = [image for image in planned if image.name not in done]
        jobs = BatchJobs(sdk, output)
        rows: list[str] = []
        if todo:
            identity = fingerprint({"todo": sorted(image.fingerprint for image in todo)})
            folder = open_folder(f"{self.deployment.pipeline_uri}/batch-{identity[:16]}")
            lines, unreadable = write_input(
                [image for image in images if image.name not in done],
                folder,
                [f"{self.deployment.images_uri}/", f"{self.deployment.pipeline_uri}/"],
            )
            rows = _unreadable_rows(todo, unreadable)
            if lines:
                job = jobs.find(identity) or jobs.submit(
                    identity,
                    version,
                    self.request,
                    folder,
                    automatic=automatic,
                    batch_size=self.batch_size,
                    replicas=self.replicas,
                )
                predictions = jobs.wait(job, len(lines))
                rows += write_images(
                    output,
                    todo,
                    lines,
                    predictions,
                    model=model,
                    max_masks=parameters.max_masks,
                    automatic=automatic,
                )
            folder.delete_folder("images")
        jobs.forget()
        output.write_bytes(PLAN, plan_lines(planned), "application/jsonl")
        output.write_bytes(ROWS, "".join(rows).encode(), "application/jsonl")
        return write_report(parameters, [ROWS], "vertex-batch")

    def _live_version(self, sdk: Any) -> Any:
        version = VersionRegistry(sdk, self.request, report_line).find(LIVE)
        if version is None:
            raise OperatorError(
                "no version is released", hint="sam-vertex model release", exit_code=CLOUD
            )
        return version


def _model_of(version: Any) -> dict[str, str]:
    """What the masks' files say of the model that made them."""
    return {
        "name": description_of(version)["checkpoint"] or version.display_name,
        "sha256": content_alias(version) or f"version {version.version_id}",
    }


def _unreadable_rows(images: list[PlannedImage], reasons: dict[str, str]) -> list[str]:
    """Manifest rows of the images that could not even be read."""
    return [
        failed_row(image, reasons[image.name], SHARD).to_line()
        for image in images
        if image.name in reasons
    ]
