"""Pipeline jobs: compiled graphs, checked as the service does, run by Kubeflow's local runner."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from scripts.rehearsal.api_errors import ApiError, failed_precondition
from scripts.rehearsal.vertex_ai.artifacts import Artifacts
from scripts.rehearsal.vertex_ai.containers.environment import pipeline_environment
from scripts.rehearsal.vertex_ai.containers.launching import launch_group
from scripts.rehearsal.vertex_ai.faults import Faults
from scripts.rehearsal.vertex_ai.jobs.jobs import Jobs
from scripts.rehearsal.vertex_ai.jobs.pipeline_checks import (
    accelerators_at_once,
    check_graph,
    check_labels,
    check_parameters,
    custom_jobs,
    images,
    parallelism,
)
from scripts.rehearsal.vertex_ai.jobs.pipeline_tasks import PipelineTasks
from scripts.rehearsal.vertex_ai.machines import check_training_quota
from scripts.rehearsal.vertex_ai.operations import Operations
from scripts.rehearsal.vertex_ai.permissions import Permissions, default_account
from scripts.rehearsal.vertex_ai.state import Json, State, new_id, now
from scripts.rehearsal.vertex_ai.storage_clients import StorageClients

JOB_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_PROGRAM = Path(__file__).with_name("pipeline_process.py")


class PipelineJobs(Jobs):
    """The pipeline jobs of the world."""

    kind, prefix = "pipelines", "PIPELINE_STATE_"

    def __init__(
        self,
        state: State,
        operations: Operations,
        artifacts: Artifacts,
        clients: StorageClients,
        permissions: Permissions,
        home: Path,
    ) -> None:
        super().__init__(state, operations)
        self._artifacts, self._clients, self._permissions = artifacts, clients, permissions
        self._faults = Faults(state)
        self._home = home / "pipelines"
        self._logs = home / "logs"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def create(self, parent: str, job_id: str, body: Json, caller: str) -> Json:
        """A job, which starts at once.

        Args:
            parent: ``projects/.../locations/...``.
            job_id: its id; empty for a new one.
            body: its representation.
            caller: who asks; he must be allowed to act as the steps' account.

        Raises:
            ApiError: the service would refuse it.
        """
        id_ = job_id or f"pipeline-{new_id(12)}"
        if not JOB_ID.fullmatch(id_):
            raise ApiError(400, f"pipeline_job_id {id_!r} must match {JOB_ID.pattern}.")
        check_labels(body.get("labels") or {})
        runtime = body.get("runtimeConfig") or {}
        if not str(runtime.get("gcsOutputDirectory", "")).startswith("gs://"):
            raise ApiError(400, "runtime_config.gcs_output_directory must be a gs:// URI.")
        graph = body.get("pipelineSpec") or {}
        check_graph(graph)
        check_parameters(graph, runtime.get("parameterValues") or {})
        account = str(body.get("serviceAccount", ""))
        if account and not account.endswith(".iam.gserviceaccount.com"):
            raise ApiError(400, f"service_account {account!r} is no service account's e-mail.")
        _, project_id, _, region = parent.split("/")
        account = account or default_account(project_id)
        self._permissions.require_act_as(caller, account)
        self._check_root(str(runtime["gcsOutputDirectory"]), account)
        for uri in images(graph):
            self._artifacts.check_image(uri, region, account)
        name = f"{parent}/pipelineJobs/{id_}"
        return self.start(name, body, jobDetail={"taskDetails": []})

    def _check_root(self, uri: str, account: str) -> None:
        """Refuse a root that the steps' account cannot see; when the service asks is UNVERIFIED."""
        from google.api_core.exceptions import Forbidden, NotFound

        bucket = uri.removeprefix("gs://").partition("/")[0]
        try:
            self._clients.of(account).get_bucket(bucket)
        except NotFound as error:
            raise failed_precondition(
                f"The bucket {bucket} of the pipeline root does not exist."
            ) from error
        except Forbidden as error:
            raise ApiError(403, error.message) from error

    def list_jobs(self, parent: str, conditions: str) -> Json:
        """The jobs of a region that a filter lets through, newest first."""
        return {"pipelineJobs": self.listed(parent, conditions)}

    def cancel(self, name: str) -> Json:
        """End a job; one that has ended stays as it is."""
        if not self.has_ended(self.get(name)):
            self.update(name, state="PIPELINE_STATE_CANCELLING")
            self._end(name)
        return {}

    def stop(self) -> None:
        """End what runs, with the stand-in."""
        for name in list(self._processes):
            self._end(name)

    def _end(self, name: str) -> None:
        with self._lock:
            process = self._processes.get(name)
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def run(self, name: str) -> None:
        """Run the graph in a process and keep what it leaves."""
        try:
            self._run_process(name)
        except ApiError as error:
            self._fail(name, error.rpc())
        except Exception as error:
            self._fail(name, ApiError.internal(error).rpc())

    def _fail(self, name: str, error: Json) -> None:
        cancelling = self.get(name)["state"] == "PIPELINE_STATE_CANCELLING"
        outcome = "CANCELLED" if cancelling else "FAILED"
        PipelineTasks(self.state, name).end_running(outcome)
        self.update(name, state=f"{self.prefix}{outcome}", error=error, endTime=now())

    def _run_process(self, name: str) -> None:
        job = self.get(name)
        world = self.state.read()
        for accelerator, count in accelerators_at_once(job["pipelineSpec"]).items():
            check_training_quota(accelerator, count, world)
        id_ = name.rpartition("/")[2]
        home = self._home / id_
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        log = self._logs / f"pipeline-{id_}.log"
        self._check_custom_jobs(job)
        process = self._launch(name, job, home)
        if self.get(name)["state"] == "PIPELINE_STATE_CANCELLING":
            self._end(name)
        else:
            self.update(name, state="PIPELINE_STATE_RUNNING", startTime=now())
        tasks = PipelineTasks(self.state, name)
        assert process.stdout is not None  # noqa: S101  (launch_group makes a pipe)
        last = tasks.follow(process.stdout, log)
        if process.wait():
            raise failed_precondition(
                f"The DAG failed because some tasks failed. The failed tasks are: [{last}]. "
                f"Its log is {log}."
            )
        # Tasks of a loop log into each other's lines, and an end may be missed among them.
        tasks.end_running("SUCCEEDED")
        root = job["runtimeConfig"]["gcsOutputDirectory"]
        tasks.keep_artifacts(home / "outputs", root, self._clients.of(_account(job)))
        self.update(name, state="PIPELINE_STATE_SUCCEEDED", endTime=now())
        shutil.rmtree(home, ignore_errors=True)

    def _check_custom_jobs(self, job: Json) -> None:
        """Refuse custom jobs that the steps' account may not make, or not as whom they are."""
        project_id, steps = job["name"].split("/")[1], _account(job)
        for custom_job in custom_jobs(job["pipelineSpec"]):
            self._permissions.require(
                steps, "aiplatform.customJobs.create", project_id, f"{job['name']}/customJobs"
            )
            account = custom_job["job_spec"].get("service_account", "")
            self._permissions.require_act_as(steps, account)

    def _launch(self, name: str, job: Json, home: Path) -> subprocess.Popen[bytes]:
        """Start the process that runs a job's graph with the files of its image."""
        graph = job["pipelineSpec"]
        parameters = job["runtimeConfig"].get("parameterValues") or {}
        _, project_id, _, region, *_ = name.split("/")
        content = {
            "pipelineSpec": graph,
            "parameters": parameters,
            "project": project_id,
            "location": region,
            "taken_away": bool(custom_jobs(graph)) and self._faults.take_preemption(name),
        }
        (home / "job.json").write_text(json.dumps(content), "utf-8")
        tree = Path(self._artifacts.image(images(graph)[0])["tree"])
        if not tree.is_dir():
            raise failed_precondition(f"Image files are gone from {tree}.")
        self._logs.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", str(_PROGRAM), str(home)]
        with self._lock:
            environment = pipeline_environment(tree, home, parallelism(graph), _account(job))
            process = launch_group(command, tree, environment)
            self._processes[name] = process
        return process


def _account(job: Json) -> str:
    """Who a job's steps act as."""
    return str(job.get("serviceAccount") or default_account(job["name"].split("/")[1]))
