"""Faults that somebody asked for, kept in the world until a request meets them."""

from __future__ import annotations

import time

from scripts.rehearsal.google_provider.services.refusals import ServiceError
from scripts.rehearsal.google_provider.world import World

FAIL_AFTER = "fail_after"


def meet_faults(world: World, type_name: str, action: str) -> bool:
    """Meet the faults for an action on a type; each has a number of ``times`` left.

    Args:
        world: the world.
        type_name: resource type.
        action: ``create``, ``update`` or ``delete``.

    Returns:
        Whether the action is to fail after it was done (``fail_after``).

    Raises:
        ServiceError: it is to fail now, or the service is busy.
    """
    with world.open() as contents:
        matching = [
            fault
            for fault in contents["faults"]
            if fault["times"] > 0 and (fault["type"], fault["action"]) == (type_name, action)
        ]
        if not matching:
            return False
        fault = matching[0]
        fault["times"] -= 1
        kind, seconds = str(fault["kind"]), float(fault.get("seconds", 0))
    if kind == "slow":
        time.sleep(seconds)
    elif kind == "fail":
        raise ServiceError("googleapi: Error 500: Internal error (injected), backendError")
    elif kind == "conflict":
        # Not tried again: no resource of 6.50.0 that the stacks use has a predicate for it
        # (resource_workbench_instance.go has the first at 7.4.0), and of all 409s the defaults
        # retry only "operationInProgress" (transport/error_retry_predicates.go).
        raise ServiceError("googleapi: Error 409: unable to queue the operation, aborted")
    return kind == FAIL_AFTER
