"""The Vertex job that computes an output: submit it, find it again, wait for it."""

from __future__ import annotations

import json
import time
from typing import Any

from pipeline.run.manifest import write_json
from scripts.batch_predictions.input_lines import INSTANCES
from scripts.batch_predictions.results import read_results
from scripts.cloud.vertex_sdk import patiently, poll_seconds
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import meter, report_line
from serving.storage import WORK, Folder, open_folder

JOB = f"{WORK}/batch.json"
_PREFIX = "JOB_STATE_"
_WITH_RESULTS = frozenset({"SUCCEEDED", "PARTIALLY_SUCCEEDED"})
_WITHOUT_RESULTS = frozenset({"FAILED", "CANCELLED", "EXPIRED", "PAUSED"})  # submitted anew
_ENDED = _WITH_RESULTS | _WITHOUT_RESULTS


class BatchJobs:
    """The job of an output, remembered in it, so that an interrupted command finds it again.

    Args:
        sdk: the initialised ``google.cloud.aiplatform``.
        output: the run's output.
    """

    def __init__(self, sdk: Any, output: Folder) -> None:
        self._sdk, self._output = sdk, output

    def find(self, identity: str) -> Any | None:
        """The remembered job, or ``None`` where it has other images or ended without results.

        Args:
            identity: digest of the images that the job computes.
        """
        from google.api_core.exceptions import NotFound

        if not self._output.exists(JOB):
            return None
        record = json.loads(self._output.read_bytes(JOB))
        if record.get("identity") != identity:
            return None
        try:
            job = patiently(lambda: self._sdk.BatchPredictionJob(record["job"]))
        except NotFound:
            return None
        if _state(job) in _WITHOUT_RESULTS:
            return None
        report_line(f"found job {job.resource_name} again")
        return job

    def submit(
        self,
        identity: str,
        version: Any,
        request: ReleaseRequest,
        folder: Folder,
        *,
        automatic: dict[str, Any],
        batch_size: int,
        replicas: int,
    ) -> Any:
        """Submit a job and remember it.

        Args:
            identity: digest of the images that the job computes.
            version: of the model.
            request: names the machine.
            folder: the job's folder in the bucket, which holds the input.
            automatic: settings of the images without prompts.
            batch_size: instances in a request.
            replicas: machines.
        """
        job = self._sdk.BatchPredictionJob.submit(
            job_display_name=f"{request.model_id}-{identity[:8]}",
            model_name=version.versioned_resource_name,
            instances_format="jsonl",
            predictions_format="jsonl",
            gcs_source=[folder.uri_of(INSTANCES)],
            gcs_destination_prefix=folder.uri_of("results"),
            model_parameters={"mask_format": "rle", "return_logits": False, **automatic},
            machine_type=request.machine,
            accelerator_type=request.accelerator or None,
            accelerator_count=request.accelerator_count if request.accelerator else None,
            starting_replica_count=replicas,
            max_replica_count=replicas,
            batch_size=batch_size,
            service_account=request.service_account or None,
            encryption_spec_key_name=request.kms_key or None,
            labels={"app": "sam-vertex"},
        )
        write_json(self._output, JOB, {"identity": identity, "job": job.resource_name})
        report_line(f"submitted {job.resource_name}")
        return job

    def forget(self) -> None:
        """Forget the job: the next command submits a new one."""
        self._output.delete(JOB)

    def wait(self, job: Any, total: int) -> dict[str, dict[str, Any]]:
        """Wait for the end of a job; every line's prediction by the line's key.

        Args:
            job: an ``aiplatform.BatchPredictionJob``.
            total: lines of its input.

        Raises:
            OperatorError: the job ended without any result.
        """
        with meter("predicting", unit="lines") as bar:
            while True:
                state = _state(job)
                statistics = job.completion_stats
                done = statistics.successful_count + statistics.failed_count if statistics else 0
                bar.update(done, total, state.lower())
                if state in _ENDED:
                    break
                time.sleep(poll_seconds())
        info = job.output_info
        uri = str(info.gcs_output_directory) if info else ""
        predictions = dict(read_results(open_folder(uri))) if uri else {}
        if state != "SUCCEEDED" and not predictions:
            self.forget()
            reason = job.error.message if job.error else ""  # a job may have an empty error
            raise OperatorError(
                f"the batch prediction failed: {reason or _PREFIX + state}",
                hint="its log in the Google Cloud console has more; run again to submit anew",
                exit_code=CLOUD,
            )
        return predictions


def _state(job: Any) -> str:
    name: str = patiently(lambda: job.state).name
    return name.removeprefix(_PREFIX)
