"""A folder of images through a Vertex batch prediction, into the output of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.run.claim import PROCESS_SECONDS, claimed, name_of_process
from pipeline.run.guarded_output import guarded
from pipeline.run.input_images import InputImage, find_images
from pipeline.run.manifest import ManifestRow, PlannedImage, finished, write_plan
from pipeline.run.output_layout import PLAN
from pipeline.run.parameters import RunParameters, fingerprint
from pipeline.run.reviewed import keep_reviewed
from pipeline.steps.plan_shards import planned_image
from pipeline.steps.write_report import RunSummary, write_report
from scripts.batch_predictions.collection import ImageWriter, redraw_images, write_images
from scripts.batch_predictions.input_lines import (
    IMAGES,
    Line,
    input_lines,
    upload_images,
    write_lines,
)
from scripts.batch_predictions.jobs import (
    BatchJobs,
    console_page,
    failure,
    goes_on,
    job_state,
)
from scripts.batch_predictions.limits import check_batch_size
from scripts.batch_predictions.results import error_statistics, read_results
from scripts.batch_predictions.submission import Submission, forget, remembered
from scripts.cloud.deployment import Deployment
from scripts.cloud.vertex_sdk import connect
from scripts.costs.throughput import vertex_machine
from scripts.releases.registry import LIVE, VersionRegistry, content_alias, description_of
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import report_event, report_line
from serving.storage import WORK, Folder, open_folder

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
            OperatorError: no version is released, a request would take too long, the job failed, or
                the output waits for another one.
            RunError: an input is missing or holds no image, or another run uses the output.
            StorageError: the output or the bucket cannot be read or written.
        """
        sdk = connect(self.request.project_id, self.request.region)
        images = find_images(self.parameters, report_line)
        version = self._live_version(sdk)
        self._check_batch_size(images, version)
        run = name_of_process()
        with claimed(open_folder(self.parameters.output), run):
            output = guarded(self.parameters.output, run, PROCESS_SECONDS)
            return self._run_claimed(BatchJobs(sdk), version, images, output)

    def _run_claimed(
        self, jobs: BatchJobs, version: Any, images: list[InputImage], output: Folder
    ) -> RunSummary:
        model = _model_of(version)
        automatic = self.parameters.automatic_overrides()
        drawn = self.parameters.drawn(len(images))
        settings = {"model": model["sha256"], "automatic": automatic}
        settings |= {"pictures": drawn} if drawn != "all" else {}
        planned = [planned_image(image, settings, drawn) for image in images]
        planned = keep_reviewed(output, planned)
        done = finished(output, planned)
        writer = ImageWriter(
            output=output,
            model=model,
            max_masks=self.parameters.max_masks,
            automatic=automatic,
        )
        # Nobody pays twice for masks that another choice of pictures has left here.
        rows = redraw_images(writer, [image for image in planned if image.name not in done])
        done |= {row.image for row in rows}
        todo = [image for image in planned if image.name not in done]
        # Of all images, since a command that is killed while it collects has fewer left; with
        # names, since the lines name the images, and a renamed one has no result.
        named = [[image.name, image.masks_fingerprint] for image in planned]
        identity = fingerprint({"images": named})
        submission = self._awaited(jobs, output, identity if todo else "")
        if todo:
            left = [image for image in images if image.name not in done]
            submission = submission or Submission.begin(output, identity)
            rows += self._predict(jobs, submission, version, left, todo, writer)
        write_plan(output, PLAN, planned)
        text = "".join(row.to_line() for row in rows)
        output.write_bytes(ROWS, text.encode(), "application/jsonl")
        return write_report(self.parameters, [ROWS], "vertex-batch", output=output)

    def _predict(
        self,
        jobs: BatchJobs,
        submission: Submission,
        version: Any,
        images: Sequence[InputImage],
        planned: Sequence[PlannedImage],
        writer: ImageWriter,
    ) -> list[ManifestRow]:
        """Predict images by the job that an earlier command submitted for them, or by a new one.

        Returns:
            Their manifest rows.
        """
        folder = self._folder(submission)
        readable = [f"{self.deployment.images_uri}/", f"{self.deployment.pipeline_uri}/"]
        lines = [line for image in images for line in input_lines(image, folder, readable)]
        if submission.unreadable is None:
            digests = {image.name: image.digest for image in planned}
            unreadable = upload_images(images, digests, folder, readable)
            write_lines(lines, folder, unreadable)
            submission = submission.with_input(unreadable)
            submission.remember(writer.output)
        reasons = submission.unreadable or {}
        lines = [line for line in lines if line.image not in reasons]
        if lines:
            job = jobs.find_with_results(submission.token) or jobs.submit(
                submission.token,
                version,
                self.request,
                folder,
                automatic=writer.automatic,
                batch_size=self.batch_size,
                replicas=self.replicas,
            )
            rows = _collect(jobs, job, planned, lines, writer, reasons)
        else:
            rows = write_images(writer, planned, lines, (), reasons)
        self._end(submission, writer.output)
        return rows

    def _awaited(self, jobs: BatchJobs, output: Folder, identity: str) -> Submission | None:
        """The submission whose results this command wants; any other one of the output is ended.

        Args:
            jobs: of the project.
            output: remembers the submission, if there is one.
            identity: of the wanted images; empty where nothing is left to compute, since an earlier
                command wrote it all and was killed before it forgot the submission.

        Raises:
            OperatorError: the job of another submission goes on; forgotten, it would bill unseen.
        """
        submission = remembered(output)
        if submission is None or submission.identity == identity:
            return submission
        job = jobs.find(submission.token)
        if job is not None and goes_on(job):
            raise OperatorError(
                f"{output.uri} waits for another batch prediction, which goes on and bills: "
                f"{job.resource_name}",
                hint="the earlier inputs and settings collect it; or end it in the console: "
                f"{console_page(job)}; or choose another output",
            )
        if job is not None and identity:
            report_event(
                f"the job of other images or settings is not collected: {job.resource_name}"
            )
        self._end(submission, output)
        return None

    def _end(self, submission: Submission, output: Folder) -> None:
        """Remove what a submission left in the bucket, then forget it: a kill repeats both."""
        self._folder(submission).delete_folder(IMAGES)
        forget(output)

    def _folder(self, submission: Submission) -> Folder:
        return open_folder(f"{self.deployment.pipeline_uri}/batch-{submission.token}")

    def _live_version(self, sdk: Any) -> Any:
        version = VersionRegistry(sdk, self.request, report_line).find(LIVE)
        if version is None:
            raise OperatorError(
                "no version is released", hint="sam-vertex model release", exit_code=CLOUD
            )
        return version

    def _check_batch_size(self, images: Sequence[InputImage], version: Any) -> None:
        cpus = self.request.machine.rpartition("-")[2]
        check_batch_size(
            self.batch_size,
            vertex_machine(cpus, self.request.accelerator),
            description_of(version)["checkpoint"],
            "prompted" if all(image.prompts for image in images) else "automatic",
        )


def _collect(
    jobs: BatchJobs,
    job: Any,
    planned: Sequence[PlannedImage],
    lines: Sequence[Line],
    writer: ImageWriter,
    reasons: Mapping[str, str],
) -> list[ManifestRow]:
    """Wait for a job and write what it has computed; return the manifest rows of all images.

    Raises:
        OperatorError: it failed and has computed nothing.
    """
    results = open_folder(jobs.wait(job, len(lines)))
    rows = write_images(writer, planned, lines, read_results(results), reasons)
    for text in error_statistics(results):
        report_event(f"failed requests: {text}")
    state = job_state(job)
    if state != "SUCCEEDED" and all(row.status == "failed" for row in rows):
        raise failure(job, state)
    return rows


def _model_of(version: Any) -> dict[str, str]:
    """What the masks' files say of the model that made them."""
    return {
        "name": description_of(version)["checkpoint"] or version.display_name,
        "sha256": content_alias(version) or f"version {version.version_id}",
    }
