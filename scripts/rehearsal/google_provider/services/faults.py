"""Faults that somebody asked for, kept in the world until a request meets them."""

from __future__ import annotations

import time

from scripts.rehearsal.google_provider.services.refusals import ServiceError
from scripts.rehearsal.google_provider.world import World

RETRIES = 3  # of the provider, where the service is busy
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
        ServiceError: it is to fail now, or the service stays busy.
    """
    attempts = 0
    while True:
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
            return False
        if kind == "fail":
            raise ServiceError("googleapi: Error 500: Internal error (injected), backendError")
        if kind == FAIL_AFTER:
            return True
        attempts += 1  # "conflict": the provider tries again, a few times
        if attempts > RETRIES:
            raise ServiceError("googleapi: Error 409: unable to queue the operation, aborted")
        time.sleep(0.05 * attempts)
