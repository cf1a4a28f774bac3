"""Every variant of the settings: the real Terraform plans it, applies it, and plans no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from infra.stacks import PLATFORM
from scripts.rehearsal.google_provider.schema.values import leaves
from tests.infra.deployment import STACKS, VARIANTS, Deployment
from tests.infra.inventory import FOLDER, of_plan

REGENERATE = "if the change is meant: python -m tests.infra.inventory, and review the diff"


Changes = list[dict[str, Any]]


def planned(changes: Changes, kind: str) -> list[dict[str, Any]]:
    """The planned values of every resource of one type."""
    values = [change["change"]["after"] for change in changes if change["type"] == kind]
    assert values, f"no {kind} is planned"
    return values


@pytest.mark.parametrize("variant", VARIANTS)
def test_variant_plans_its_golden_inventory_and_applies(
    variant: str, deployment: Callable[..., Deployment]
) -> None:
    """Both stacks plan exactly what the inventory lists, break no promise, and become that."""
    made = deployment(**VARIANTS[variant])
    plans = {stack: made.planned(stack) for stack in STACKS}
    golden = yaml.safe_load((FOLDER / f"{variant}.yaml").read_text("utf-8"))
    inventory = {stack: of_plan(changes, made.project) for stack, changes in plans.items()}
    assert inventory == golden, REGENERATE
    assert_least_privilege(plans[PLATFORM])
    assert_closed(plans[PLATFORM], workbench=made.settings.get("workbench", True))
    assert_encrypted_or_not(plans, made)
    made.apply()
    assert {stack: made.changes(stack) for stack in STACKS} == {stack: {} for stack in STACKS}


def assert_least_privilege(changes: Changes) -> None:
    """No basic role, nothing public, no storage role on the project."""
    for change in changes:
        role = (change["change"]["after"] or {}).get("role", "")
        member = (change["change"]["after"] or {}).get("member") or ""
        assert role not in ("roles/owner", "roles/editor", "roles/viewer"), change["address"]
        assert member not in ("allUsers", "allAuthenticatedUsers"), change["address"]
        if change["type"] == "google_project_iam_member":
            assert not role.startswith("roles/storage."), change["address"]
            assert role != "roles/iam.serviceAccountUser", change["address"]


def assert_closed(changes: Changes, *, workbench: bool) -> None:
    (bucket,) = planned(changes, "google_storage_bucket")
    assert bucket["public_access_prevention"] == "enforced"
    assert bucket["uniform_bucket_level_access"] is True
    kinds = {change["type"] for change in changes}
    assert ("google_workbench_instance" in kinds) == workbench
    if workbench:
        (instance,) = planned(changes, "google_workbench_instance")
        assert instance["gce_setup"][0]["disable_public_ip"] is True
    else:  # nothing that only a Workbench needs, and bills
        assert not [kind for kind in kinds if kind.startswith("google_compute_")]
    for service in planned(changes, "google_project_service"):
        assert service["disable_on_destroy"] is False


def assert_encrypted_or_not(plans: dict[str, Changes], made: Deployment) -> None:
    """With CMEK the one key is on bucket, repository, both disks and endpoint; without, nowhere."""
    names = {
        "google_storage_bucket": ("encryption.default_kms_key_name",),
        "google_artifact_registry_repository": ("kms_key_name",),
        "google_workbench_instance": (
            "gce_setup.boot_disk.kms_key",
            "gce_setup.data_disks.kms_key",
        ),
        "google_vertex_ai_endpoint": ("encryption_spec.kms_key_name",),
    }
    keys = [
        value
        for changes in plans.values()
        for change in changes
        for name in names.get(change["type"], ())
        for _, value in leaves(change["change"]["after"], name)
        if value
    ]
    assert len(keys) == (5 if made.settings.get("cmek") else 0)
    assert len(set(keys)) <= 1
