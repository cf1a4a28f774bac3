"""Component: segment one shard in a custom job of its own, on machines that tasks cannot ask for.

A task of Vertex AI Pipelines runs on standard machines only. Google's own component for custom jobs
(package google-cloud-pipeline-components) does not install beside version 2 of the SDK, but it is
one container, which starts the job that its arguments describe and waits for its end (kubeflow
pipelines, components/google-cloud/google_cloud_pipeline_components: v1/custom_job/component.py and
utils.py). UNVERIFIED on Google Cloud.
"""

import dataclasses
import json
from typing import Any

from kfp import dsl

from pipeline.machines import Machine

LAUNCHER_IMAGE = "gcr.io/ml-pipeline/google-cloud-pipeline-components:2.22.0"
LAUNCHER = "google_cloud_pipeline_components.container.v1.custom_job.launcher"
_STRATEGIES = {"standard": "STANDARD", "spot": "SPOT", "flex": "FLEX_START"}
_MOST_WAIT_SECONDS = 86_400  # for room, with flex; the default of CustomJobSpec.scheduling
_SEVEN_DAYS = 604_800  # the longest that a custom job may take


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShardJob:
    """The custom job of a shard.

    Attributes:
        output: the run's output, ``gs://``.
        service_account: who the job acts as; empty for Google's own account.
        kms_key: key of everything that the job leaves; empty for Google's.
        labels: of the job.
        most_seconds: after which Vertex AI ends it.
    """

    output: str
    service_account: str = ""
    kms_key: str = ""
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    most_seconds: float = _SEVEN_DAYS

    def payload(self, machine: Machine, image: str, shard: str) -> dict[str, Any]:
        """The ``CustomJob`` as its REST API takes it.

        Args:
            machine: what the shard asks for.
            image: container image that holds this project.
            shard: the shard's name, or the placeholder of it.
        """
        spec: dict[str, Any] = {"machine_type": machine.machine_type}
        if machine.accelerator:
            spec["accelerator_type"] = machine.accelerator
            spec["accelerator_count"] = machine.accelerators
        container = {
            "image_uri": image,
            "command": ["python", "-m", "pipeline.shard_job"],
            "args": [self.output, shard],
        }
        scheduling: dict[str, Any] = {
            "strategy": _STRATEGIES[machine.capacity],
            "timeout": f"{min(round(self.most_seconds), _SEVEN_DAYS)}s",
        }
        if machine.capacity == "flex":
            scheduling["max_wait_duration"] = f"{_MOST_WAIT_SECONDS}s"
        job: dict[str, Any] = {
            "worker_pool_specs": [
                {"machine_spec": spec, "replica_count": 1, "container_spec": container}
            ],
            "scheduling": scheduling,
        }
        if self.service_account:
            job["service_account"] = self.service_account
        content: dict[str, Any] = {
            "display_name": f"segment {shard}",
            "job_spec": job,
            "labels": self.labels,
        }
        if self.kms_key:
            content["encryption_spec"] = {"kms_key_name": self.kms_key}
        return content


def define_shard_job(job: ShardJob, machine: Machine, image: str) -> Any:
    """Return the component; its input is the shard's name, its output what tells of the job.

    Args:
        job: the custom job.
        machine: what the shard asks for.
        image: container image that holds this project.
    """

    def segment_shard(shard: str, gcp_resources: dsl.OutputPath(str)):  # type: ignore[no-untyped-def,valid-type]
        payload = json.dumps(job.payload(machine, image, f"{shard}"))
        return dsl.ContainerSpec(
            image=LAUNCHER_IMAGE,
            command=["python3", "-u", "-m", LAUNCHER],
            args=[
                *("--type", "CustomJob", "--payload", payload),
                *("--project", "{{$.pipeline_google_cloud_project_id}}"),
                *("--location", "{{$.pipeline_google_cloud_location}}"),
                *("--gcp_resources", gcp_resources),
            ],
        )

    return dsl.container_component(segment_shard)
