"""What all kinds of jobs share: found, updated, deleted when they have ended."""

from __future__ import annotations

from typing import Any

from scripts.rehearsal.vertex_ai.errors import ApiError, not_found, precondition
from scripts.rehearsal.vertex_ai.state import Json, State, now


class Jobs:
    """Jobs of one kind in the world.

    Attributes:
        kind: where they are kept, below ``world["vertex"]``.
        prefix: what the names of their states begin with.
    """

    kind: str
    prefix: str

    def __init__(self, state: State) -> None:
        self.state = state

    def has_ended(self, job: Json) -> bool:
        """Whether a job will not change any more."""
        ends = ("SUCCEEDED", "FAILED", "CANCELLED")
        return str(job["state"]).removeprefix(self.prefix) in ends

    def get(self, name: str) -> Json:
        """One job."""
        found: Json | None = self.state.read()["vertex"][self.kind].get(name)
        if found is None:
            raise not_found(name)
        return found

    def newest_first(self, parent: str) -> list[Json]:
        """All jobs of a region."""
        jobs = self.state.read()["vertex"][self.kind].values()
        found = [job for job in jobs if job["name"].startswith(f"{parent}/")]
        return sorted(found, key=lambda job: str(job["createTime"]), reverse=True)

    def delete(self, name: str) -> None:
        """Forget a job that has ended."""
        with self.state.open() as world:
            job = world["vertex"][self.kind].get(name)
            if job is None:
                raise not_found(name)
            if not self.has_ended(job):
                raise precondition(f"{name} has not ended.")
            del world["vertex"][self.kind][name]

    def fail_interrupted(self) -> None:
        """What ran when the stand-in ended will not go on."""
        error = ApiError(503, "Interrupted.").rpc()
        with self.state.open() as world:
            for job in world["vertex"][self.kind].values():
                if not self.has_ended(job):
                    job.update(state=f"{self.prefix}FAILED", error=error, endTime=now())

    def update(self, name: str, **changes: Any) -> None:
        """Change what a job says of itself."""
        with self.state.open() as world:
            world["vertex"][self.kind][name].update(changes, updateTime=now())
