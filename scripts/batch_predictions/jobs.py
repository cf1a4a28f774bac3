"""The Vertex jobs of batch predictions: submit one, find it again, wait for its end."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from scripts.batch_predictions.input_lines import INSTANCES
from scripts.cloud.vertex_sdk import is_transient, patiently, poll_seconds
from scripts.releases.errors import release_error
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.interruptions import INTERRUPTED
from scripts.terminal.progress import meter, report_event
from serving.storage import Folder

TOKEN_LABEL = "submission"  # noqa: S105, the name of a label
_PREFIX = "JOB_STATE_"
_WITH_RESULTS = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED"})
_WITHOUT_RESULTS = frozenset({"FAILED", "CANCELLED", "EXPIRED", "PAUSED"})  # submitted anew
_ENDED = _WITH_RESULTS | _WITHOUT_RESULTS
# A request of which one image is bad, or all, is answered with 200 and an error for each bad one:
# Vertex AI sends any other again three times, and gives up all its images.
_PARAMETERS = {"mask_format": "rle", "return_logits": False, "on_error": "each"}
_AGAIN = "the same command again finds it"


class BatchJobs:
    """The jobs of a project, each known by the token of its submission.

    Args:
        sdk: the initialised ``google.cloud.aiplatform``.
    """

    def __init__(self, sdk: Any) -> None:
        self._sdk = sdk

    def find(self, token: str) -> Any | None:
        """The newest job of a submission; ``None`` where none was submitted.

        Args:
            token: of the submission.
        """
        # The filter's form: ListBatchPredictionJobsRequest.filter (aiplatform_v1/types/
        # job_service.py, 2.7.0). That a job is listed as soon as it exists is UNVERIFIED.
        query = f"labels.{TOKEN_LABEL}={token}"
        jobs = patiently(lambda: self._sdk.BatchPredictionJob.list(filter=query))
        return max(jobs, key=lambda job: job.create_time, default=None)

    def find_with_results(self, token: str) -> Any | None:
        """The job of a submission that has results, or will have some.

        Args:
            token: of the submission.
        """
        job = self.find(token)
        if job is None:
            return None
        state = job_state(job)
        if state in _WITHOUT_RESULTS:
            report_event(f"job {job.resource_name} ended {state}: {_reason(job) or 'no reason'}")
            return None
        report_event(f"found job {job.resource_name} again")
        return job

    def submit(
        self,
        token: str,
        version: Any,
        request: ReleaseRequest,
        folder: Folder,
        *,
        automatic: dict[str, Any],
        batch_size: int,
        replicas: int,
    ) -> Any:
        """Submit a job, once, though the answer be lost.

        Args:
            token: of the submission, which the job will carry.
            version: of the model.
            request: names the machine.
            folder: the job's folder in the bucket, which holds the input.
            automatic: settings of the images without prompts.
            batch_size: instances in a request.
            replicas: machines.

        Raises:
            OperatorError: Vertex AI refuses it.
        """
        before = self.find(token)  # which has ended without results
        tries = 0

        def submit() -> Any:
            nonlocal tries
            tries += 1
            if tries > 1:
                made = self.find(token)  # by an earlier try, whose answer was lost
                if made is not None and not _same(made, before):
                    return made
            return self._sdk.BatchPredictionJob.submit(
                job_display_name=f"{request.model_id}-{token}",
                model_name=version.versioned_resource_name,
                instances_format="jsonl",
                predictions_format="jsonl",
                gcs_source=[folder.uri_of(INSTANCES)],
                gcs_destination_prefix=folder.uri_of("results"),
                model_parameters={**_PARAMETERS, **automatic},
                machine_type=request.machine,
                accelerator_type=request.accelerator or None,
                accelerator_count=request.accelerator_count if request.accelerator else None,
                starting_replica_count=replicas,
                max_replica_count=replicas,
                batch_size=batch_size,
                service_account=request.service_account or None,
                encryption_spec_key_name=request.kms_key or None,
                labels={
                    "app": "sam-vertex",
                    "model_version": version.version_id,
                    TOKEN_LABEL: token,
                },
            )

        try:
            job = patiently(submit)
        except Exception as error:
            raise release_error("the batch prediction cannot be submitted", error) from error
        report_event(f"submitted {job.resource_name}\n  {console_page(job)}")
        return job

    def wait(self, job: Any, total: int) -> str:
        """Wait for the end of a job; return the URI of the folder of its results.

        Args:
            job: an ``aiplatform.BatchPredictionJob``.
            total: lines of its input.

        Raises:
            OperatorError: the operator left the job, or the connection broke, and the job goes on;
                or it ended without anything written.
        """
        try:
            state = _wait(job, total)
        except KeyboardInterrupt as error:
            raise OperatorError(
                f"left {job.resource_name}, which goes on and bills",
                hint=f"{_AGAIN}; end it in the console: {console_page(job)}",
                exit_code=INTERRUPTED,
            ) from error
        except Exception as error:
            if not is_transient(error):
                raise
            raise OperatorError(
                f"lost the connection to {job.resource_name}, which goes on: {error}",
                hint=_AGAIN,
                exit_code=CLOUD,
            ) from error
        uri = str(job.output_info.gcs_output_directory) if job.output_info else ""
        if not uri:
            raise failure(job, state)
        return uri


def failure(job: Any, state: str) -> OperatorError:
    """Why a job has no results."""
    return OperatorError(
        f"the batch prediction failed: {_reason(job) or _PREFIX + state}",
        hint=f"its log: {console_page(job)}; run again to submit anew",
        exit_code=CLOUD,
    )


def _wait(job: Any, total: int) -> str:
    with meter("predicting", unit="lines") as bar:
        while True:
            state = job_state(job)
            statistics = job.completion_stats
            done = statistics.successful_count + statistics.failed_count if statistics else 0
            bar.update(done, total, state.lower())
            if state in _ENDED:
                return state
            time.sleep(poll_seconds())


def job_state(job: Any) -> str:
    """A job's state now, without the prefix that all states have."""
    name: str = patiently(lambda: job.state).name
    return name.removeprefix(_PREFIX)


def _same(one: Any, other: Any | None) -> bool:
    return other is not None and one.resource_name == other.resource_name


def _reason(job: Any) -> str:
    """Google's own words; a job may have an empty error."""
    return str(job.error.message) if job.error else ""


def goes_on(job: Any) -> bool:
    """Whether a job has not ended, so that it bills."""
    return job_state(job) not in _ENDED


def console_page(job: Any) -> str:
    """Where an operator sees a job and can end it."""
    with contextlib.suppress(Exception):  # no part of the SDK's promises
        return str(job._dashboard_uri())
    return str(job.resource_name)
