"""Every plan check that CI makes: the real Terraform plans every variant of the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from infra.stacks import PLATFORM, SERVING
from scripts.rehearsal.google_provider.protocol.values import leaves
from tests.infra.deployment import VARIANTS, Deployment
from tests.infra.inventory import FOLDER, of_plan

REGENERATE = "if the change is meant: python -m tests.infra.inventory, and review the diff"


def planned(plan: Any, kind: str) -> list[dict[str, Any]]:
    """The planned values of every resource of one type."""
    changes = [change for change in plan.resource_changes.values() if change["type"] == kind]
    assert changes, f"no {kind} is planned"
    return [change["change"]["after"] for change in changes]


@pytest.mark.parametrize("variant", VARIANTS)
def test_plan_matches_golden_inventory(variant: str, deployment: Callable[..., Deployment]) -> None:
    """Both stacks plan exactly what the inventory lists, and break no rule of what we promise."""
    made = deployment(project_id="my-project", **VARIANTS[variant])
    plans = {stack: made.terraform(stack).plan(output=True) for stack in (PLATFORM, SERVING)}
    golden = yaml.safe_load((FOLDER / f"{variant}.yaml").read_text("utf-8"))
    found = {stack: of_plan(plan) for stack, plan in plans.items()}
    assert found == golden, REGENERATE
    assert_least_privilege(plans[PLATFORM])
    assert_closed(plans[PLATFORM])
    assert_encrypted_or_not(plans, made)


def assert_least_privilege(plan: Any) -> None:
    """No basic role, nothing public, no storage role on the project."""
    for change in plan.resource_changes.values():
        role = (change["change"]["after"] or {}).get("role", "")
        member = (change["change"]["after"] or {}).get("member") or ""
        assert role not in ("roles/owner", "roles/editor", "roles/viewer"), change["address"]
        assert member not in ("allUsers", "allAuthenticatedUsers"), change["address"]
        if change["type"] == "google_project_iam_member":
            assert not role.startswith("roles/storage."), change["address"]
            assert role != "roles/iam.serviceAccountUser", change["address"]


def assert_closed(plan: Any) -> None:
    (bucket,) = planned(plan, "google_storage_bucket")
    assert bucket["public_access_prevention"] == "enforced"
    assert bucket["uniform_bucket_level_access"] is True
    (workbench,) = planned(plan, "google_workbench_instance")
    assert workbench["gce_setup"][0]["disable_public_ip"] is True
    for service in planned(plan, "google_project_service"):
        assert service["disable_on_destroy"] is False


def assert_encrypted_or_not(plans: dict[str, Any], made: Deployment) -> None:
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
        for plan in plans.values()
        for change in plan.resource_changes.values()
        for name in names.get(change["type"], ())
        for _, value in leaves(change["change"]["after"], name)
        if value
    ]
    assert len(keys) == (5 if made.settings.get("cmek") else 0)
    assert len(set(keys)) <= 1
