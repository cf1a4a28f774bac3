"""The access matrix: every call that an actor makes is allowed, every grant is needed by a call."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.stacks import PLATFORM
from scripts.rehearsal.iam.roles import permissions_of
from tests.infra.deployment import VARIANTS, document, synthesize

MATRIX = yaml.safe_load((Path(__file__).parents[1] / "data" / "access.yaml").read_text("utf-8"))
EVERYTHING = {
    **VARIANTS["cmek"],
    **VARIANTS["monitoring"],
    "bigquery": True,
    "state_bucket": "company-state",
    "log_bucket": "company-logs",
    "workbench_users": "ada@example.com",
}


@dataclasses.dataclass(frozen=True)
class Grant:
    actor: str
    role: str
    target: str
    conditional: bool

    def permits(self, permission: str, resource: str) -> bool:
        if self.conditional and permission.endswith(".list"):  # its condition is on objects' names
            return False
        known = {*permissions_of(self.role), *MATRIX["more"].get(self.role, ())}
        return permission in known and self.target in places(resource)


@dataclasses.dataclass(frozen=True)
class Need:
    actor: str
    call: str
    permission: str
    resource: str


def places(resource: str) -> set[str]:
    """A resource and what it lies in."""
    found = {resource}
    if not resource.startswith("other-bucket/"):
        found.add("project")
    if resource.startswith("folder/"):
        found |= {"bucket", *(f"folder/{name}" for name in outer(resource[7:]))}
    return found


def outer(folder: str) -> list[str]:
    parts = folder.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


@pytest.fixture(scope="module")
def grants(tmp_path_factory: pytest.TempPathFactory) -> set[Grant]:
    """All grants of the platform with every setting that adds one."""
    stacks = synthesize(tmp_path_factory.mktemp("access"), **EVERYTHING)
    resources = document(stacks, PLATFORM)["resource"]
    return {
        Grant(
            actor_of(entry["member"]),
            entry["role"],
            target_of(kind, entry, resources),
            "condition" in entry,
        )
        for kind, entries in resources.items()
        if kind.endswith("_iam_member")
        for entry in entries.values()
    }


def actor_of(member: str) -> str:
    kind, _, email = member.partition(":")
    if kind != "serviceAccount":
        return f"{kind}/{email}"
    name, _, domain = email.partition("@")
    if name.startswith("service-"):
        return f"agent/{domain.partition('.')[0]}"
    return name.removeprefix("sam-")


def target_of(kind: str, entry: dict[str, Any], resources: dict[str, Any]) -> str:
    def named(reference: str) -> dict[str, Any]:
        match = re.fullmatch(r"\$\{(\w+)\.([\w-]+)\.\w+\}", reference)
        assert match is not None, reference
        return dict(resources[match[1]][match[2]])

    if kind == "google_storage_managed_folder_iam_member":
        return f"folder/{named(entry['managed_folder'])['name'].rstrip('/')}"
    if kind == "google_storage_bucket_iam_member":
        return "bucket" if "${" in entry["bucket"] else f"other-bucket/{entry['bucket']}"
    if kind == "google_service_account_iam_member":
        account = str(named(entry["service_account_id"])["account_id"])
        return f"account/{account.removeprefix('sam-')}"
    return {
        "google_project_iam_member": "project",
        "google_artifact_registry_repository_iam_member": "repository",
        "google_kms_crypto_key_iam_member": "key",
    }[kind]


def needs() -> list[Need]:
    return [
        Need(actor, call, permission, resource)
        for actor, calls in MATRIX["calls"].items()
        for call, permissions in calls.items()
        for permission, resource in permissions.items()
    ]


def allowed(need: Need, grants: set[Grant]) -> bool:
    return any(
        grant.actor == need.actor and grant.permits(need.permission, need.resource)
        for grant in grants
    )


def test_every_call_is_allowed(grants: set[Grant]) -> None:
    refused = [need for need in needs() if not allowed(need, grants)]
    assert refused == []


def test_every_grant_is_needed_by_a_call(grants: set[Grant]) -> None:
    """Without it, some call would be refused."""
    idle = [grant for grant in grants if all(allowed(need, grants - {grant}) for need in needs())]
    assert idle == [], "no call of tests/data/access.yaml needs these"
