"""What all kinds of jobs share: they start at once, change, and are deleted after their end."""

from __future__ import annotations

import abc
import re
import threading
from typing import Any

from scripts.rehearsal.api_errors import ApiError, failed_precondition, not_found
from scripts.rehearsal.vertex_ai.operations import EMPTY_RESPONSE, Operations
from scripts.rehearsal.vertex_ai.state import Json, State, now

END_STATES = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")


class Jobs(abc.ABC):
    """Jobs of one kind.

    Attributes:
        kind: where they are kept, below ``world["vertex"]``.
        prefix: what the names of their states begin with.
    """

    kind: str
    prefix: str

    def __init__(self, state: State, operations: Operations) -> None:
        self.state, self._operations = state, operations

    @abc.abstractmethod
    def run(self, name: str) -> None:
        """Do a job to its end, whatever that is; called in a thread of its own."""

    def start(self, name: str, body: Json, **content: Any) -> Json:
        """Note a new job and begin it.

        Args:
            name: its full name.
            body: its representation in the request.
            content: what the service adds to it.

        Raises:
            ApiError: there is one of this name.
        """
        time = now()
        job = {
            **body,
            "name": name,
            "state": f"{self.prefix}PENDING",
            "createTime": time,
            "updateTime": time,
            **content,
        }
        with self.state.open() as world:
            if name in world["vertex"][self.kind]:
                raise ApiError(409, f"{name} already exists.")
            world["vertex"][self.kind][name] = job
        threading.Thread(target=self.run, args=(name,), name=name, daemon=True).start()
        return job

    def has_ended(self, job: Json) -> bool:
        """Whether a job will not change any more."""
        return str(job["state"]).removeprefix(self.prefix) in END_STATES

    def get(self, name: str) -> Json:
        """One job.

        Raises:
            ApiError: 404.
        """
        job: Json | None = self.state.read()["vertex"][self.kind].get(name)
        if job is None:
            raise not_found(name)
        return job

    def listed(self, parent: str, conditions: str = "") -> list[Json]:
        """The jobs of a region that a filter lets through; the arguments are :func:`jobs_of`'s."""
        return jobs_of(self.state, self.kind, parent, conditions)

    def delete(self, name: str) -> Json:
        """Begin to delete a job; the operation fails while the job has not ended."""
        self.get(name)

        def work() -> Json:
            with self.state.open() as world:
                job = world["vertex"][self.kind].get(name)
                if job is None:
                    raise not_found(name)
                if not self.has_ended(job):
                    raise failed_precondition(f"{name} has not ended.")
                del world["vertex"][self.kind][name]
            return EMPTY_RESPONSE

        return self._operations.start(name, "DeleteOperationMetadata", work)

    def fail_interrupted(self) -> None:
        """Fail the jobs that ran when the stand-in ended: nobody goes on with them."""
        error = ApiError(503, "Interrupted.").rpc()
        with self.state.open() as world:
            for job in world["vertex"][self.kind].values():
                if not self.has_ended(job):
                    job.update(state=f"{self.prefix}FAILED", error=error, endTime=now())

    def update(self, name: str, **changes: Any) -> None:
        """Change fields of a job."""
        with self.state.open() as world:
            world["vertex"][self.kind][name].update(changes, updateTime=now())


def jobs_of(state: State, kind: str, parent: str, conditions: str = "") -> list[Json]:
    """The jobs of one kind in a region that a filter lets through, newest first.

    Args:
        state: the world.
        kind: where they are kept.
        parent: ``projects/.../locations/...``.
        conditions: of the service's filters ``labels.x=y``, ``state="Y"`` and ``state!="Y"``,
            joined by AND.

    Raises:
        ApiError: another filter.
    """
    jobs = state.read()["vertex"][kind].values()
    found = [job for job in jobs if job["name"].startswith(f"{parent}/")]
    for condition in re.split(r"\s+AND\s+", conditions) if conditions else []:
        label = re.fullmatch(r'labels\.([\w-]+)\s*[=:]\s*"?([^"]*)"?', condition)
        asked = re.fullmatch(r'state\s*(!?=)\s*"?(\w+)"?', condition)
        if label:
            found = [j for j in found if (j.get("labels") or {}).get(label[1]) == label[2]]
        elif asked:
            found = [j for j in found if (j["state"] == asked[2]) == (asked[1] == "=")]
        else:
            raise ApiError(400, f"The stand-in does not know the filter {condition!r}.")
    return sorted(found, key=lambda job: str(job["createTime"]), reverse=True)
