"""Everything that the stand-in knows and does, put together."""

from __future__ import annotations

from pathlib import Path

from scripts.rehearsal.vertex_ai.artifacts import Artifacts
from scripts.rehearsal.vertex_ai.containers.running_replicas import RunningReplicas
from scripts.rehearsal.vertex_ai.endpoints.deployments import Deployments
from scripts.rehearsal.vertex_ai.endpoints.endpoints import Endpoints
from scripts.rehearsal.vertex_ai.endpoints.predictions import Predictions
from scripts.rehearsal.vertex_ai.faults import Faults
from scripts.rehearsal.vertex_ai.jobs.batch_predictions import BatchJobs
from scripts.rehearsal.vertex_ai.jobs.pipelines import PipelineJobs
from scripts.rehearsal.vertex_ai.models import Models
from scripts.rehearsal.vertex_ai.operations import Operations
from scripts.rehearsal.vertex_ai.permissions import Permissions
from scripts.rehearsal.vertex_ai.state import State
from scripts.rehearsal.vertex_ai.storage_clients import StorageClients


class Service:
    """Vertex AI of a region, as far as the project uses it.

    Args:
        state: the world.
        clients: of the storage stand-in.
        home: folder of the local cloud, for logs and the files of jobs.
    """

    def __init__(self, state: State, clients: StorageClients, home: Path) -> None:
        self.state, self.world = state, state.world
        running, logs = RunningReplicas(), home / "logs"
        self.faults = Faults(state)
        self.operations = Operations(state, self.faults)
        self.permissions = Permissions(state.world)
        artifacts = Artifacts(state, clients, self.permissions)
        self.models = Models(state, self.operations, artifacts)
        self.endpoints = Endpoints(state, self.operations)
        self.deployments = Deployments(state, self.operations, running, self.permissions, logs)
        self.predictions = Predictions(state, running)
        self.batch_jobs = BatchJobs(state, self.operations, clients, self.permissions, logs)
        self.pipeline_jobs = PipelineJobs(
            state, self.operations, artifacts, clients, self.permissions, home
        )

    def resume(self) -> None:
        """Go on with the world of an earlier process: what it served is served again."""
        self.operations.fail_interrupted()
        self.batch_jobs.fail_interrupted()
        self.pipeline_jobs.fail_interrupted()
        self.deployments.restart()

    def stop(self) -> None:
        """End all jobs and containers."""
        self.pipeline_jobs.stop()
        self.deployments.stop()
