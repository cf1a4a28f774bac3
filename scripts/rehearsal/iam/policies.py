"""Whether a caller has a permission on a resource, by the grants of the provider's world.

https://docs.cloud.google.com/iam/docs/allow-policies: a resource's own policy and those of what it
lies in add up. Here a project holds everything; an object lies in a bucket, and in each managed
folder that its name begins with (docs.cloud.google.com/storage/docs/managed-folders).
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any

from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.iam.callers import OPERATOR
from scripts.rehearsal.iam.roles import AGENT_ROLES, UnknownRoleError, permissions_of

_AGENT = re.compile(r"service-(\d+)@([a-z0-9-]+)\.iam\.gserviceaccount\.com")
_NAME_BEGINS = re.compile(r'resource\.name\.startsWith\("([^"]*)"\)')


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """What a permission is asked for.

    Attributes:
        policies: names of the resources whose policies count, such as ``projects/p``, ``b/bucket``,
            ``b/bucket/managedFolders/a/`` or ``projects/p/serviceAccounts/EMAIL``.
        name: as a condition sees it (``resource.name``).
    """

    policies: tuple[str, ...]
    name: str = ""


def project(project_id: str) -> Resource:
    """A project, and whatever in it has no policy of its own, such as a model."""
    return Resource((f"projects/{project_id}",))


def account(email: str) -> Resource:
    """A service account of a project."""
    project_id = email.partition("@")[2].partition(".")[0]
    return Resource(
        (f"projects/{project_id}", f"projects/{project_id}/serviceAccounts/{email}"),
    )


def repository(project_id: str, location: str, name: str) -> Resource:
    """A repository of Artifact Registry."""
    own = f"projects/{project_id}/locations/{location}/repositories/{name}"
    return Resource((f"projects/{project_id}", own))


@dataclasses.dataclass(frozen=True, slots=True)
class _Grant:
    role: str
    condition: str


class Policies:
    """The grants of a world.

    Args:
        world: its contents.
    """

    def __init__(self, world: dict[str, Any]) -> None:
        self._grants: dict[tuple[str, str], list[_Grant]] = {}
        resources = world["resources"]
        self._buckets = {
            name: str(values["project"])
            for name, values in resources.get("google_storage_bucket", {}).items()
        }
        self._versioned = {
            name
            for name, values in resources.get("google_storage_bucket", {}).items()
            if any(block.get("enabled") for block in values.get("versioning") or [])
        }
        self._folders: dict[str, list[str]] = {}
        for values in resources.get("google_storage_managed_folder", {}).values():
            self._folders.setdefault(values["bucket"], []).append(values["name"])
        self._agents: list[str] | None = world.get("agents")
        for kind, target in _TARGETS.items():
            for values in resources.get(kind, {}).values():
                conditions = values.get("condition") or [{}]
                grant = _Grant(values["role"], str(conditions[0].get("expression") or ""))
                key = (target(values), str(values["member"]))
                self._grants.setdefault(key, []).append(grant)

    def bucket(self, name: str) -> Resource:
        """A bucket; of one that is not the provider's nobody knows the project."""
        project_id = self._buckets.get(name, "")
        return Resource((f"projects/{project_id}", f"b/{name}"), f"projects/_/buckets/{name}")

    def objects(self, bucket: str, name: str) -> Resource:
        """An object, or all objects whose names begin so; the empty name is the whole bucket."""
        own = self.bucket(bucket)
        inside = [f for f in self._folders.get(bucket, []) if name.startswith(f)]
        folders = tuple(f"b/{bucket}/managedFolders/{folder}" for folder in inside)
        suffix = f"/objects/{name}" if name else ""
        return Resource((*own.policies, *folders), own.name + suffix)

    def keeps_versions(self, bucket: str) -> bool:
        """Whether a bucket keeps earlier versions of its objects."""
        return bucket in self._versioned

    def agent_exists(self, email: str) -> bool:
        """Whether a service agent was made; a world without a list of them has every one."""
        return self._agents is None or email in self._agents

    def allows(self, email: str, permission: str, resource: Resource) -> bool:
        """Whether a caller has a permission on a resource."""
        if email == OPERATOR:
            return True
        kind = "serviceAccount" if email.endswith(".gserviceaccount.com") else "user"
        members = (f"{kind}:{email}", "allAuthenticatedUsers", "allUsers")
        for policy in resource.policies:
            for member in members:
                for grant in self._grants.get((policy, member), ()):
                    if _holds(grant.condition, resource) and _permits(grant.role, permission):
                        return True
        return self._agent_has(email, permission, resource)

    def _agent_has(self, email: str, permission: str, resource: Resource) -> bool:
        agent = _AGENT.fullmatch(email)
        if agent is None or not self.agent_exists(email):
            return False
        of_project = resource.policies[0].removeprefix("projects/")
        role = AGENT_ROLES.get(agent[2])
        own = bool(of_project) and project_number(of_project) == agent[1]
        return own and role is not None and _permits(role, permission)


class CurrentPolicies:
    """The grants as they are now; the world is read again only after it was written."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: tuple[int, int] | None = None
        self._policies = Policies(world.read())

    def read(self) -> Policies:
        """The grants."""
        try:
            status = self._world.path.stat()
        except FileNotFoundError:
            return Policies(self._world.read())
        seen = (status.st_ino, status.st_mtime_ns)  # every write makes a new file
        if seen != self._seen:
            self._policies, self._seen = Policies(self._world.read()), seen
        return self._policies


@functools.lru_cache(maxsize=4096)
def _permits(role: str, permission: str) -> bool:
    try:
        return permission in permissions_of(role)
    except UnknownRoleError:  # a custom role, of which nobody here knows the content
        return False


def _holds(condition: str, resource: Resource) -> bool:
    """Whether a condition holds; of its language only the one form that our stacks use is known."""
    if not condition:
        return True
    match = _NAME_BEGINS.fullmatch(condition.strip())
    return match is not None and resource.name.startswith(match[1])


def _project_of_grant(values: dict[str, Any]) -> str:
    return f"projects/{values['project']}"


_TARGETS: dict[str, Callable[[dict[str, Any]], str]] = {
    "google_project_iam_member": _project_of_grant,
    "google_storage_bucket_iam_member": lambda v: f"b/{str(v['bucket']).removeprefix('b/')}",
    "google_storage_managed_folder_iam_member": lambda v: (
        f"b/{v['bucket']}/managedFolders/{v['managed_folder']}"
    ),
    "google_service_account_iam_member": lambda v: str(v["service_account_id"]),
    "google_artifact_registry_repository_iam_member": lambda v: (
        f"projects/{v['project']}/locations/{v['location']}/repositories/"
        f"{str(v['repository']).rpartition('/')[2]}"
    ),
}
