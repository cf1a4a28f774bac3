"""Batch predictions: a container of the job's own, JSON lines in, results and errors out."""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from typing import Any

from scripts.rehearsal.api_errors import ApiError, not_found
from scripts.rehearsal.vertex_ai.containers.replica import Replica
from scripts.rehearsal.vertex_ai.jobs.jobs import Jobs
from scripts.rehearsal.vertex_ai.machines import accelerator_name, takes_accelerator
from scripts.rehearsal.vertex_ai.operations import Operations
from scripts.rehearsal.vertex_ai.permissions import NOBODY, Permissions, agent_of
from scripts.rehearsal.vertex_ai.state import Json, State, find_model, new_id, now
from scripts.rehearsal.vertex_ai.storage_clients import StorageClients

DEFAULT_BATCH = 64
REQUEST_SECONDS = 600.0
RETRIES = 3  # of a request that was not answered with 200, whatever the status


class BatchJobs(Jobs):
    """The batch prediction jobs of the world."""

    kind, prefix = "jobs", "JOB_STATE_"

    def __init__(
        self,
        state: State,
        operations: Operations,
        clients: StorageClients,
        permissions: Permissions,
        logs: Path,
    ) -> None:
        super().__init__(state, operations)
        self._clients, self._permissions, self._logs = clients, permissions, logs

    def create(self, parent: str, body: Json, caller: str) -> Json:
        """A job, which starts at once.

        Args:
            parent: ``projects/.../locations/...``.
            body: its representation.
            caller: who asks; he must be allowed to act as the container's account.

        Raises:
            ApiError: its machine, files or model cannot be.
        """
        self._permissions.require_act_as(caller, str(body.get("serviceAccount", "")))
        machine = (body.get("dedicatedResources") or {}).get("machineSpec") or {}
        if not machine.get("machineType"):
            raise ApiError(400, "dedicated_resources.machine_spec.machine_type is required.")
        if not takes_accelerator(machine):
            kind = accelerator_name(machine)
            raise ApiError(400, f"{machine['machineType']} does not support accelerator {kind}.")
        form = (body.get("inputConfig") or {}).get("instancesFormat")
        if form not in ("jsonl", "file-list"):
            raise ApiError(400, f"instances_format {form!r} is not supported here.")
        uris = body["inputConfig"].get("gcsSource", {}).get("uris", [])
        output = body.get("outputConfig", {}).get("gcsDestination", {}).get("outputUriPrefix", "")
        if not uris or not output.startswith("gs://"):
            raise ApiError(400, "input_config.gcs_source.uris and output_config are required.")
        _, version = find_model(self.state.read(), str(body.get("model", "")))
        name = f"{parent}/batchPredictionJobs/{new_id()}"
        return self.start(name, body, modelVersionId=version)

    def list_jobs(self, parent: str, query: str = "") -> Json:
        """The jobs of a region that a filter lets through, newest first."""
        return {"batchPredictionJobs": self.listed(parent, query)}

    def cancel(self, name: str) -> Json:
        """Ask a job to end."""
        self.get(name)
        self.update(name, cancelling=True)
        return {}

    def run(self, name: str) -> None:
        """Start the job's container, predict, and end both."""
        replica: Replica | None = None
        try:
            job = self.get(name)
            world = self.state.read()
            model, version = find_model(world, job["model"])
            content = model["versions"][version]
            id_ = name.rpartition("/")[2]
            machine = job["dedicatedResources"]["machineSpec"]
            extra = {
                "AIP_MACHINE_TYPE": machine["machineType"],
                "AIP_ACCELERATOR_TYPE": accelerator_name(machine),
            }
            replica = Replica(
                content,
                self._logs / f"batch-{id_}.log",
                extra,
                account=job.get("serviceAccount") or NOBODY,
            )
            replica.wait_ready()
            self.update(name, state="JOB_STATE_RUNNING", startTime=now())
            self._predict(name, job, content["displayName"], replica)
        except ApiError as error:
            self.update(name, state="JOB_STATE_FAILED", error=error.rpc(), endTime=now())
        except Exception as error:
            internal = ApiError.internal(error).rpc()
            self.update(name, state="JOB_STATE_FAILED", error=internal, endTime=now())
        finally:
            if replica is not None:
                replica.stop()

    def _instances(self, job: Json) -> list[tuple[Any, Any]]:
        """What the results repeat and what the container gets, for every instance of the input."""
        instances: list[tuple[Any, Any]] = []
        for uri in job["inputConfig"]["gcsSource"]["uris"]:
            for line in self._read(job, uri).decode("utf-8").splitlines():
                if not line.strip():
                    continue
                if job["inputConfig"]["instancesFormat"] == "jsonl":
                    try:
                        value = json.loads(line)
                    except ValueError as error:
                        raise ApiError(400, f"{uri}: not JSON lines: {error}") from error
                    instances.append((value, value))
                else:
                    content = base64.b64encode(self._read(job, line.strip())).decode()
                    instances.append((line.strip(), {"b64": content}))
        if not instances:
            raise ApiError(400, "The input has no instances.")
        return instances

    def _client(self, job: Json) -> Any:
        """The service's agent reads the instances and writes the results, not the container."""
        return self._clients.of(agent_of(job["name"].split("/")[1]))

    def _read(self, job: Json, uri: str) -> bytes:
        from google.api_core.exceptions import Forbidden, NotFound

        bucket, _, name = uri.removeprefix("gs://").partition("/")
        try:
            return bytes(self._client(job).bucket(bucket).blob(name).download_as_bytes())
        except NotFound as error:
            raise not_found(uri) from error
        except Forbidden as error:
            raise ApiError(403, error.message) from error

    def _predict(self, name: str, job: Json, display_name: str, replica: Replica) -> None:
        ending = self._operations.faults.take_for_job(name)
        if ending == "expired":
            expired = ApiError(504, "The job has run for longer than it may.").rpc()
            self.update(name, state="JOB_STATE_EXPIRED", error=expired, endTime=now())
            return
        instances = self._instances(job)
        size = int((job.get("manualBatchTuningParameters") or {}).get("batchSize", DEFAULT_BATCH))
        results: list[str] = []
        errors: dict[str, int] = {}
        for start in range(0, len(instances), size):
            if self.get(name).get("cancelling"):
                self.update(name, state="JOB_STATE_CANCELLED", endTime=now())
                return
            batch = instances[start : start + size]
            body = {"instances": [sent for _, sent in batch]}
            if job.get("modelParameters"):
                body["parameters"] = job["modelParameters"]
            status, content = _answer(replica, json.dumps(body).encode())
            predictions = json.loads(content)["predictions"] if status == 200 else []
            if status == 200 and len(predictions) == len(batch):
                results += [
                    json.dumps({"instance": echoed, "prediction": prediction})
                    for (echoed, _), prediction in zip(batch, predictions, strict=True)
                ]
            else:
                message = content.decode("utf-8", errors="replace")[:1000]
                error = (
                    "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK "
                    f"result {status} ({message}) from server, retry={RETRIES}, elapsed=0.00s."
                )
                errors[error] = errors.get(error, 0) + len(batch)
            failed = sum(errors.values())
            statistics = {"successfulCount": str(len(results)), "failedCount": str(failed)}
            self.update(name, completionStats=statistics)
        folder = self._write(job, display_name, results, errors)
        failed = not results
        succeeded = "PARTIALLY_SUCCEEDED" if ending == "partial" else "SUCCEEDED"
        self.update(
            name,
            state=f"{self.prefix}{'FAILED' if failed else succeeded}",
            endTime=now(),
            outputInfo={"gcsOutputDirectory": folder},
            **({"error": ApiError(400, "All instances failed.").rpc()} if failed else {}),
        )

    def _write(
        self, job: Json, display_name: str, results: list[str], errors: dict[str, int]
    ) -> str:
        """Write the results in two files, named in one of the two ways that the service uses."""
        prefix = job["outputConfig"]["gcsDestination"]["outputUriPrefix"].rstrip("/")
        time = datetime.datetime.now(datetime.UTC).strftime("%Y_%m_%dT%H_%M_%S_%fZ")
        folder = f"{prefix}/prediction-{display_name}-{time}"
        bucket, _, path = folder.removeprefix("gs://").partition("/")
        proto_names = bool(self.state.read()["vertex"].get("proto_file_names"))
        halves = [results[0::2], results[1::2]]
        files: dict[str, list[str]] = {}
        for number, lines in enumerate(halves):
            plain = f"prediction.results-{number:05d}-of-{len(halves):05d}"
            files[f"predictions_{number + 1:04d}.jsonl" if proto_names else plain] = lines
        if errors:
            # Python's tuples, a message with its count, and no instance: googleapis/
            # python-aiplatform issue 2666, and Google's page on troubleshooting batch predictions.
            plain = "prediction.errors_stats-00000-of-00001"
            tuples = [repr(item) for item in errors.items()]
            files["errors_0001.jsonl" if proto_names else plain] = tuples
        for name, lines in files.items():
            text = "".join(line + "\n" for line in lines)
            self._client(job).bucket(bucket).blob(f"{path}/{name}").upload_from_string(text)
        return folder


def _answer(replica: Replica, body: bytes) -> tuple[int, bytes]:
    """A container's answer to a request, which is sent again until it succeeds or is given up."""
    status, content = replica.predict(body, REQUEST_SECONDS)
    for _ in range(RETRIES):
        if status == 200:
            break
        status, content = replica.predict(body, REQUEST_SECONDS)
    return status, content
