"""Long-running operations that really run: each has a thread, clients poll until it is done."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from scripts.rehearsal.api_errors import ApiError, not_found
from scripts.rehearsal.vertex_ai.faults import Faults
from scripts.rehearsal.vertex_ai.state import Json, State, new_id, now

log = logging.getLogger("vertex")
_TYPE = "type.googleapis.com/google.cloud.aiplatform.v1."
EMPTY_RESPONSE: Json = {"@type": "type.googleapis.com/google.protobuf.Empty"}


class Operations:
    """Starts operations and answers for them."""

    def __init__(self, state: State, faults: Faults) -> None:
        self._state, self.faults = state, faults
        self._ends: dict[str, Callable[[], None]] = {}
        self._cancelled: set[str] = set()

    def start(
        self,
        owner: str,
        metadata: str,
        work: Callable[[], Json],
        undo: Callable[[], None] = lambda: None,
        end: Callable[[], None] | None = None,
    ) -> Json:
        """Begin an operation.

        Args:
            owner: full name of the resource that it belongs to.
            metadata: type of its metadata, such as ``DeployModelOperationMetadata``.
            work: does it and returns the response with its ``@type``; an ApiError fails it.
            undo: takes back what the caller noted, where a fault keeps ``work`` from running.
            end: makes ``work`` fail soon, for whoever cancels; ``None`` where nobody can.

        Returns:
            The operation as the service shows it.
        """
        name = f"{owner}/operations/{new_id()}"
        operation: Json = {
            "name": name,
            "done": False,
            "metadata": {
                "@type": _TYPE + metadata,
                "genericMetadata": {"createTime": now(), "updateTime": now()},
            },
        }
        fault = self.faults.take_for_operation(metadata)
        with self._state.open() as world:
            world["vertex"]["operations"][name] = operation
        if end is not None:
            self._ends[name] = end
        arguments = (name, work, undo, fault)
        threading.Thread(target=self._run, args=arguments, name=name, daemon=True).start()
        return operation

    def _run(
        self,
        name: str,
        work: Callable[[], Json],
        undo: Callable[[], None],
        fault: Json | None,
    ) -> None:
        outcome: Json
        try:
            if fault is not None:
                undo()
                raise ApiError(500, "Internal error encountered. (injected)")
            outcome = {"response": work()}
        except ApiError as error:
            outcome = {"error": error.rpc()}
        except Exception as error:
            log.exception("operation %s", name)
            outcome = {"error": ApiError.internal(error).rpc()}
        self._ends.pop(name, None)
        if "error" in outcome and name in self._cancelled:
            outcome = {"error": {"code": 1, "message": "The operation was cancelled."}}
        with self._state.open() as world:
            operation = world["vertex"]["operations"][name]
            operation.update(outcome, done=True)
            operation["metadata"]["genericMetadata"]["updateTime"] = now()

    def cancel(self, name: str) -> Json:
        """Ask an operation to end; "success is not guaranteed" (google.longrunning.Operations)."""
        self.get(name)
        end = self._ends.pop(name, None)
        if end is not None:
            self._cancelled.add(name)
            end()
        return {}

    def get(self, name: str) -> Json:
        """An operation as it is now."""
        operation: Json | None = self._state.read()["vertex"]["operations"].get(name)
        if operation is None:
            raise not_found(name)
        return operation

    def list_of(self, owner: str) -> Json:
        """The operations of a resource, all on one page."""
        operations = self._state.read()["vertex"]["operations"]
        return {"operations": [v for k, v in operations.items() if k.startswith(f"{owner}/oper")]}

    def fail_interrupted(self) -> None:
        """Fail the operations that ran when the stand-in ended: nobody goes on with them."""
        with self._state.open() as world:
            for operation in world["vertex"]["operations"].values():
                if not operation["done"]:
                    interruption = ApiError(503, "The operation was interrupted.").rpc()
                    operation.update(error=interruption, done=True)


def response(kind: str, content: Json) -> Json:
    """The response of an operation, with its type."""
    return {"@type": _TYPE + kind, **content}
