"""Faults that somebody asked for, kept in the world until a call or an operation meets them."""

from __future__ import annotations

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.vertex_ai.state import Json, State

OPERATION = "operation"
CALL_KINDS = ("429", "503", "slow", "drop", "late")
JOB_KINDS = ("expired", "partial")
PREEMPTION = "preemption"
KINDS = (*CALL_KINDS, OPERATION, *JOB_KINDS, PREEMPTION)


class Faults:
    """The faults of the world."""

    def __init__(self, state: State) -> None:
        self._state = state

    def inject(self, fault: Json) -> None:
        """Note a fault, such as ``{"method": "deployModel", "kind": "503", "times": 2}``.

        Raises:
            ApiError: its kind is none of ``KINDS``, or its method is no string.
        """
        if fault.get("kind") not in KINDS or not isinstance(fault.get("method"), str):
            raise ApiError(400, f"kind must be one of {', '.join(KINDS)}, method a string.")
        with self._state.open() as world:
            world["vertex"]["faults"].append({"times": 1, "seconds": 1, **fault})

    def take_for_call(self, call: str) -> Json | None:
        """The fault that a call meets, such as ``GET /v1/projects/...``; it is used up by one."""
        return self._take(call, CALL_KINDS)

    def take_for_operation(self, metadata: str) -> Json | None:
        """The fault that an operation meets, by the type of its metadata."""
        return self._take(metadata, (OPERATION,))

    def take_for_job(self, name: str) -> str:
        """How a job is to end, by its name: ``expired``, ``partial``, or empty for as it does."""
        fault = self._take(name, JOB_KINDS)
        return str(fault["kind"]) if fault else ""

    def take_preemption(self, job: str) -> bool:
        """Whether the machine of a custom job is taken away, by the name of its pipeline job."""
        return self._take(job, (PREEMPTION,)) is not None

    def _take(self, text: str, kinds: tuple[str, ...]) -> Json | None:
        if not self._state.read()["vertex"]["faults"]:  # almost always, and without the lock
            return None
        with self._state.open() as world:
            for fault in world["vertex"]["faults"]:
                meets = fault["kind"] in kinds and fault["method"].lower() in text.lower()
                if meets and fault["times"] > 0:
                    fault["times"] -= 1
                    return dict(fault)
        return None
