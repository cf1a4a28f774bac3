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
from typing import Any

from scripts.rehearsal.vertex_ai.artifacts import Artifacts
from scripts.rehearsal.vertex_ai.containers.replicas import launch_group, pipeline_environment
from scripts.rehearsal.vertex_ai.errors import ApiError, precondition
from scripts.rehearsal.vertex_ai.jobs.jobs import Jobs
from scripts.rehearsal.vertex_ai.jobs.pipeline_checks import (
    check_graph,
    check_labels,
    check_parameters,
    images,
    parallelism,
)
from scripts.rehearsal.vertex_ai.state import Json, State, new_id, now

JOB_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_BEGUN = re.compile(r"Executing task\s+\S*?'([\w-]+)'")
_ENDED = re.compile(r"Task\s+\S*?'([\w-]+)'\S*\s+finished with status\s+\S*?(SUCCESS|FAILURE)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class PipelineJobs(Jobs):
    """Pipeline jobs."""

    kind, prefix = "pipelines", "PIPELINE_STATE_"

    def __init__(self, state: State, client: Any, home: Path) -> None:
        super().__init__(state)
        self._client = client
        self._artifacts = Artifacts(state, client)
        self._home = home / "pipelines"
        self._logs = home / "logs"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()

    def create(self, parent: str, query: Json, body: Json) -> Json:
        """A job, which starts at once."""
        id_ = query.get("pipelineJobId", "") or f"pipeline-{new_id(12)}"
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
        self._check_root(str(runtime["gcsOutputDirectory"]))
        region = parent.rpartition("/")[2]
        for uri in images(graph):
            self._artifacts.check_image(uri, region)
        name = f"{parent}/pipelineJobs/{id_}"
        job = {
            **body,
            "name": name,
            "state": "PIPELINE_STATE_PENDING",
            "createTime": now(),
            "updateTime": now(),
            "jobDetail": {"taskDetails": []},
        }
        with self.state.open() as world:
            if name in world["vertex"]["pipelines"]:
                raise ApiError(409, f"PipelineJob {name} already exists.")
            world["vertex"]["pipelines"][name] = job
        threading.Thread(target=self._run, args=(name,), name=name, daemon=True).start()
        return job

    def _check_root(self, uri: str) -> None:
        from google.api_core.exceptions import NotFound

        bucket = uri.removeprefix("gs://").partition("/")[0]
        try:
            self._client.get_bucket(bucket)
        except NotFound as error:
            raise precondition(
                f"The bucket {bucket} of the pipeline root does not exist."
            ) from error

    def list_jobs(self, parent: str, query: Json) -> Json:
        """The jobs of a region, newest first; of filters, ``labels.x=y`` and ``state="Y"``."""
        found = self.newest_first(parent)
        for condition in re.split(r"\s+AND\s+", query.get("filter", "")):
            if not condition:
                continue
            label = re.fullmatch(r'labels\.(\w+)\s*[=:]\s*"?([^"]*)"?', condition)
            state = re.fullmatch(r'state\s*=\s*"?(\w+)"?', condition)
            if label:
                found = [j for j in found if (j.get("labels") or {}).get(label[1]) == label[2]]
            elif state:
                found = [job for job in found if job["state"] == state[1]]
            else:
                raise ApiError(400, f"The stand-in does not know the filter {condition!r}.")
        return {"pipelineJobs": found}

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

    def _run(self, name: str) -> None:
        try:
            self._run_process(name)
        except ApiError as error:
            self._fail(name, error.rpc())
        except Exception as error:
            self._fail(name, ApiError(500, f"{type(error).__name__}: {error}").rpc())

    def _fail(self, name: str, error: Json) -> None:
        cancelling = self.get(name)["state"] == "PIPELINE_STATE_CANCELLING"
        state = "PIPELINE_STATE_CANCELLED" if cancelling else "PIPELINE_STATE_FAILED"
        with self.state.open() as world:
            for task in world["vertex"]["pipelines"][name]["jobDetail"]["taskDetails"]:
                if task["state"] == "RUNNING":
                    task.update(state="CANCELLED" if cancelling else "FAILED", endTime=now())
        self.update(name, state=state, error=error, endTime=now())

    def _run_process(self, name: str) -> None:
        job = self.get(name)
        id_ = name.rpartition("/")[2]
        home = self._home / id_
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        content = {
            "pipelineSpec": job["pipelineSpec"],
            "parameters": job["runtimeConfig"].get("parameterValues") or {},
        }
        (home / "job.json").write_text(json.dumps(content), "utf-8")
        tree = Path(self._artifacts.image(images(job["pipelineSpec"])[0])["tree"])
        if not tree.is_dir():
            raise precondition(f"Image files are gone from {tree}.")
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"pipeline-{id_}.log"
        program = str(Path(__file__).with_name("pipeline_process.py"))
        command = [sys.executable, "-P", program, str(home)]
        with self._lock:
            at_once = parallelism(job["pipelineSpec"])
            process = launch_group(command, tree, pipeline_environment(tree, home, at_once))
            self._processes[name] = process
        if self.get(name)["state"] == "PIPELINE_STATE_CANCELLING":
            self._end(name)
        else:
            self.update(name, state="PIPELINE_STATE_RUNNING", startTime=now())
        last = self._follow(name, process, log)
        if process.wait():
            raise ApiError(
                400,
                f"The DAG failed because some tasks failed. The failed tasks are: [{last}]. "
                f"Its log is {log}.",
                "FAILED_PRECONDITION",
            )
        with self.state.open() as world:
            # Tasks of a loop log into each other's lines, and an end may be missed among them.
            for task in world["vertex"]["pipelines"][name]["jobDetail"]["taskDetails"]:
                if task["state"] == "RUNNING":
                    task.update(state="SUCCEEDED", endTime=now())
        self._keep_artifacts(name, job, home / "outputs")
        self.update(name, state="PIPELINE_STATE_SUCCEEDED", endTime=now())
        shutil.rmtree(home, ignore_errors=True)

    def _follow(self, name: str, process: subprocess.Popen[bytes], log: Path) -> str:
        """Write the log and the states of the tasks while the process runs; the last task begun."""
        last = ""
        assert process.stdout is not None  # noqa: S101  (launch_group makes a pipe)
        with log.open("ab") as file:
            for line in process.stdout:
                file.write(line)
                file.flush()
                text = _COLOUR.sub("", line.decode("utf-8", "replace"))
                begun, ended = _BEGUN.search(text), _ENDED.search(text)
                if begun:
                    last = begun[1]
                    self._task(name, begun[1], "RUNNING")
                elif ended:
                    self._task(name, ended[1], "SUCCEEDED" if ended[2] == "SUCCESS" else "FAILED")
        return last

    def _task(self, name: str, task: str, state: str) -> None:
        with self.state.open() as world:
            tasks = world["vertex"]["pipelines"][name]["jobDetail"]["taskDetails"]
            if state == "RUNNING":
                number = str(len(tasks) + 1)
                tasks.append(
                    {"taskId": number, "taskName": task, "state": state, "startTime": now()}
                )
                return
            for row in reversed(tasks):
                if row["taskName"] == task and row["state"] == "RUNNING":
                    row.update(state=state, endTime=now())
                    return

    def _keep_artifacts(self, name: str, job: Json, outputs: Path) -> None:
        """Copy what the tasks left as artifacts to the pipeline root, as the service does."""
        root = job["runtimeConfig"]["gcsOutputDirectory"].removeprefix("gs://").rstrip("/")
        bucket, _, prefix = root.partition("/")
        kept: dict[str, Json] = {}
        for path in sorted(outputs.glob("*/*/*")):
            if path.is_file() and path.name not in ("Output", "executor_output.json"):
                there = f"{prefix}/{name.rpartition('/')[2]}/{path.parent.name}/{path.name}"
                self._client.bucket(bucket).blob(there.lstrip("/")).upload_from_filename(str(path))
                uri = f"gs://{bucket}/{there.lstrip('/')}"
                artifact = {"displayName": path.name, "uri": uri, "schemaTitle": "system.Markdown"}
                kept[path.parent.name] = {path.name: {"artifacts": [artifact]}}
        with self.state.open() as world:
            for row in world["vertex"]["pipelines"][name]["jobDetail"]["taskDetails"]:
                if row["taskName"] in kept:
                    row["outputs"] = kept[row["taskName"]]
