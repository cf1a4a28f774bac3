"""Who may do what with which objects, by the grants of the provider's world."""

from __future__ import annotations

import threading
from collections.abc import Callable

from scripts.rehearsal.cloud_storage.errors import StorageRefusal, forbidden
from scripts.rehearsal.cloud_storage.requested import Need, Requested
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.iam.callers import OPERATOR
from scripts.rehearsal.iam.policies import CurrentPolicies, Policies, project

# The service's own bucket of copied model artifacts: whoever acts in a deployed model may read it
# (docs.cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements, AIP_STORAGE_URI).
MANAGED_COPIES = "vertex-managed-copies"
READS = ("storage.objects.get", "storage.objects.list")


class Access:
    """The permissions of callers.

    Args:
        world: the provider's world.
    """

    def __init__(self, world: World) -> None:
        self._policies = CurrentPolicies(world)
        self._lock = threading.Lock()

    def check(self, caller: str, requested: Requested, exists: Callable[[str, str], bool]) -> None:
        """Refuse a caller who may not do what he asks for.

        Args:
            caller: e-mail.
            requested: what he asks for.
            exists: whether an object is there, or a bucket where its name is empty. Who overwrites
                an object must be allowed to delete it
                (docs.cloud.google.com/storage/docs/access-control/iam-json, note on ``insert``).

        Raises:
            StorageRefusal: 403, or 404 for a bucket that is not there.
        """
        if caller == OPERATOR:
            return
        with self._lock:
            policies = self._policies.read()
        for need in requested.needs:
            if not _allows(policies, caller, need):
                if need.bucket and not exists(need.bucket, ""):
                    raise StorageRefusal(404, "The specified bucket does not exist.")
                raise forbidden(caller, need)
        if requested.written:
            delete = Need("storage.objects.delete", *requested.written)
            if not _allows(policies, caller, delete) and exists(*requested.written):
                raise forbidden(caller, delete)

    def is_versioned(self, bucket: str) -> bool:
        """Whether a bucket keeps earlier versions of its objects."""
        with self._lock:
            return self._policies.read().keeps_versions(bucket)


def _allows(policies: Policies, caller: str, need: Need) -> bool:
    if need.bucket == MANAGED_COPIES:
        return need.permission in READS
    if not need.bucket:
        return policies.allows(caller, need.permission, project(need.project))
    if need.permission.startswith("storage.buckets."):
        return policies.allows(caller, need.permission, policies.bucket(need.bucket))
    return policies.allows(caller, need.permission, policies.objects(need.bucket, need.name))
