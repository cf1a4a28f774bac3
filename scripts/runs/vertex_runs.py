"""The runs on Vertex AI Pipelines: found by name, listed, cancelled."""

from __future__ import annotations

import dataclasses
import datetime
import getpass
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from scripts.cloud.deployment import Deployment
from scripts.cloud.vertex_sdk import connect, patiently
from scripts.terminal.errors import OperatorError

if TYPE_CHECKING:
    from pipeline.run.parameters import RunParameters

LABELS = {"app": "sam-vertex"}
SEGMENT = "segment-shard"  # the task that has a machine of its own in each shard
_PREFIX = "PIPELINE_STATE_"
_ENDED = ("succeeded", "failed", "cancelled")
_MOST_LABEL_LETTERS = 63
_LIST_HINT = "sam-vertex pipeline list"


@dataclasses.dataclass(frozen=True, slots=True)
class RunState:
    """State of a job.

    Attributes:
        name: Vertex's name of it, short and in lower case, such as ``running``.
    """

    name: str

    @property
    def ended(self) -> bool:
        """Whether the job will never change again."""
        return self.name in _ENDED

    @property
    def succeeded(self) -> bool:
        """Whether every step did what it should."""
        return self.name == "succeeded"


@dataclasses.dataclass(frozen=True, slots=True)
class VertexRun:
    """A run that was submitted.

    Attributes:
        job: the SDK's ``PipelineJob``.
        parameters: the run's.
    """

    job: Any
    parameters: RunParameters


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """A line of ``sam-vertex pipeline list``.

    Attributes:
        run: its name.
        state: as :attr:`RunState.name`.
        created: when it was submitted.
    """

    run: str
    state: str
    created: datetime.datetime

    def to_json(self) -> dict[str, str]:
        """Return the form that ``--json`` prints."""
        created = self.created.isoformat(timespec="seconds")
        return {"run": self.run, "state": self.state, "created": created}


def labels_of(run_id: str) -> dict[str, str]:
    """The labels of a run, by which a billing export tells runs and their owners apart.

    Vertex AI hands a pipeline job's labels on to the resources that the job makes (its page
    "Understand pipeline run costs"). A value has at most 63 of a few characters.
    """
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a process without a name, as in some containers
        user = "unknown"
    values = {"run": run_id, "user": user, "version": version("sam-vertex")}
    return LABELS | {
        name: re.sub(r"[^a-z0-9_-]", "-", value.lower())[:_MOST_LABEL_LETTERS]
        for name, value in values.items()
    }


def console_link(deployment: Deployment, run_id: str) -> str:
    """The page of a run in Google's console, as the SDK spells it (``PipelineJob._dashboard_uri``,
    google/cloud/aiplatform/pipeline_jobs.py, 2.7.0).
    """
    return (
        f"https://console.cloud.google.com/vertex-ai/locations/{deployment.region}/pipelines/runs/"
        f"{run_id}?project={deployment.project_id}"
    )


class VertexRuns:
    """The runs of one deployment.

    Args:
        deployment: whose project and region they run in.

    Raises:
        OperatorError: Vertex AI cannot be connected.
    """

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._sdk = connect(deployment.project_id, deployment.region)

    def job(self, name: str) -> Any:
        """Return the SDK's job of that name.

        Raises:
            google.api_core.exceptions.NotFound: there is none.
            ValueError: the name is none of a job.
        """
        return patiently(lambda: self._sdk.PipelineJob.get(name))

    def find(self, name: str) -> VertexRun:
        """Return a run that was submitted earlier.

        Raises:
            OperatorError: there is none, or it is not one of ours.
        """
        from google.api_core.exceptions import NotFound

        from pipeline.run.parameters import RunParameters

        try:
            job = self.job(name)
            values = dict(job.gca_resource.runtime_config.parameter_values)
            return VertexRun(job, RunParameters.from_json(str(values["parameters"])))
        except (NotFound, ValueError) as error:
            raise OperatorError(
                f"there is no run {name} in {self.deployment.project_id}, {self.deployment.region}",
                hint=_LIST_HINT,
            ) from error
        except KeyError as error:
            raise OperatorError(f"{name} is not a run of this project", hint=_LIST_HINT) from error

    def list(self) -> list[ListedRun]:
        """Return all runs, newest first."""
        labels = " AND ".join(f'labels.{name}="{value}"' for name, value in LABELS.items())
        jobs = patiently(lambda: self._sdk.PipelineJob.list(filter=labels))
        runs = [
            ListedRun(run=job.name, state=state_of(job.state).name, created=job.create_time)
            for job in jobs
        ]
        return sorted(runs, key=lambda run: run.created, reverse=True)

    def cancel(self, name: str) -> None:
        """End a run; what it has finished stays.

        Raises:
            OperatorError: there is none of that name.
        """
        patiently(self.find(name).job.cancel)


def state_of(state: Any) -> RunState:
    """The SDK's enumeration in our terms."""
    return RunState(state.name.removeprefix(_PREFIX).lower())
