"""Long-running operations that really run long: a thread each, asked for until done."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from scripts.rehearsal.vertex_ai.errors import ApiError, not_found
from scripts.rehearsal.vertex_ai.state import Json, State, new_id, now

log = logging.getLogger("vertex")
_TYPE = "type.googleapis.com/google.cloud.aiplatform.v1."
EMPTY_RESPONSE: Json = {"@type": "type.googleapis.com/google.protobuf.Empty"}


class Operations:
    """Starts operations and answers for them."""

    def __init__(self, state: State) -> None:
        self.state = state

    def start(
        self,
        owner: str,
        metadata: str,
        work: Callable[[], Json],
        undo: Callable[[], None] = lambda: None,
    ) -> Json:
        """Begin an operation.

        Args:
            owner: full name of the resource it belongs to.
            metadata: type of its metadata, such as ``DeployModelOperationMetadata``.
            work: does it and returns the response with its ``@type``; ApiError fails it.
            undo: takes back what was noted before, where a fault keeps ``work`` from running.
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
        with self.state.open() as world:
            fault = _take_fault(world["vertex"]["faults"], metadata)
            world["vertex"]["operations"][name] = operation
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
        ended: Json
        try:
            if fault is not None:
                undo()
                raise ApiError(500, "Internal error encountered. (injected)")
            ended = {"response": work()}
        except ApiError as error:
            ended = {"error": error.rpc()}
        except Exception as error:
            log.exception("operation %s", name)
            ended = {"error": ApiError(500, f"{type(error).__name__}: {error}").rpc()}
        with self.state.open() as world:
            operation = world["vertex"]["operations"][name]
            operation.update(ended, done=True)
            operation["metadata"]["genericMetadata"]["updateTime"] = now()

    def get(self, name: str) -> Json:
        """An operation as it is now."""
        found: Json | None = self.state.read()["vertex"]["operations"].get(name)
        if found is None:
            raise not_found(name)
        return found

    def fail_interrupted(self) -> None:
        """What ran when the stand-in ended will not go on."""
        with self.state.open() as world:
            for operation in world["vertex"]["operations"].values():
                if not operation["done"]:
                    aborted = ApiError(503, "The operation was interrupted.").rpc()
                    operation.update(error=aborted, done=True)


def response(kind: str, content: Json) -> Json:
    """A response of an operation."""
    return {"@type": _TYPE + kind, **content}


def _take_fault(faults: list[Json], metadata: str) -> Json | None:
    for fault in faults:
        same = fault["kind"] == "operation" and fault["method"].lower() in metadata.lower()
        if same and fault["times"] > 0:
            fault["times"] -= 1
            return fault
    return None
