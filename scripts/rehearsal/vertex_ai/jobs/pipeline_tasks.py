"""The tasks of a pipeline job, as the log of Kubeflow's local runner tells of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.rehearsal.vertex_ai.state import Json, State, now

_BEGINNING = re.compile(r"Executing task\s+\S*?'([\w-]+)'")
_END = re.compile(r"Task\s+\S*?'([\w-]+)'\S*\s+finished with status\s+\S*?(SUCCESS|FAILURE)")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_NO_ARTIFACTS = (
    "Output",
    "gcp_resources",
    "executor_output.json",
)  # parameters, and the runner's own file


class PipelineTasks:
    """The task details of one job.

    Args:
        state: the world.
        job: full name of the job.
    """

    def __init__(self, state: State, job: str) -> None:
        self._state, self._job = state, job

    def follow(self, output: Iterable[bytes], log: Path) -> str:
        """Write the runner's output to a log, and note which tasks begin and end.

        Returns:
            The task that began last.
        """
        last = ""
        with log.open("ab") as file:
            for line in output:
                file.write(line)
                file.flush()
                text = _COLOUR.sub("", line.decode("utf-8", "replace"))
                beginning, end = _BEGINNING.search(text), _END.search(text)
                if beginning:
                    last = beginning[1]
                    self._begin(last)
                elif end:
                    self._end(end[1], "SUCCEEDED" if end[2] == "SUCCESS" else "FAILED")
        return last

    def _begin(self, task: str) -> None:
        with self._state.open() as world:
            details = self._details(world)
            number = str(len(details) + 1)
            details.append(
                {"taskId": number, "taskName": task, "state": "RUNNING", "startTime": now()}
            )

    def _end(self, task: str, state: str) -> None:
        with self._state.open() as world:
            for detail in reversed(self._details(world)):
                if detail["taskName"] == task and detail["state"] == "RUNNING":
                    detail.update(state=state, endTime=now())
                    return

    def end_running(self, state: str) -> None:
        """End every task of which no end was seen, with the job."""
        with self._state.open() as world:
            for detail in self._details(world):
                if detail["state"] == "RUNNING":
                    detail.update(state=state, endTime=now())

    def keep_artifacts(self, outputs: Path, root: str, client: Any) -> None:
        """Copy what the tasks left as artifacts to the pipeline root, as the service does.

        Args:
            outputs: the runner's folder, ``<run>/<task>/<artifact>``.
            root: ``gs://`` URI of the job's pipeline root.
            client: of the storage stand-in.
        """
        bucket, _, prefix = root.removeprefix("gs://").rstrip("/").partition("/")
        job_id = self._job.rpartition("/")[2]
        artifacts: dict[str, Json] = {}
        for path in sorted(outputs.glob("*/*/*")):
            if path.is_file() and path.name not in _NO_ARTIFACTS:
                task = path.parent.name
                name = f"{prefix}/{job_id}/{task}/{path.name}".lstrip("/")
                client.bucket(bucket).blob(name).upload_from_filename(str(path))
                artifact = {
                    "displayName": path.name,
                    "uri": f"gs://{bucket}/{name}",
                    "schemaTitle": "system.Markdown",
                }
                artifacts[task] = {path.name: {"artifacts": [artifact]}}
        with self._state.open() as world:
            for detail in self._details(world):
                if detail["taskName"] in artifacts:
                    detail["outputs"] = artifacts[detail["taskName"]]

    def _details(self, world: Json) -> list[Json]:
        details: list[Json] = world["vertex"]["pipelines"][self._job]["jobDetail"]["taskDetails"]
        return details
