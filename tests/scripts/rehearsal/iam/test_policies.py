"""Grants of the world, evaluated as Google evaluates allow policies."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.google_provider.world import EMPTY
from scripts.rehearsal.iam.callers import OPERATOR, UnknownCallerError, address_as, caller_of
from scripts.rehearsal.iam.policies import Policies, account, project, repository
from scripts.rehearsal.iam.roles import AGENT_ROLES, UnknownRoleError, known_roles, permissions_of

STEP = "sam-pipeline@p.iam.gserviceaccount.com"
MEMBER = {"member": f"serviceAccount:{STEP}"}
AGENT = f"service-{project_number('p')}@gcp-sa-aiplatform.iam.gserviceaccount.com"
GET, CREATE, LIST = (f"storage.objects.{verb}" for verb in ("get", "create", "list"))


def policies(**grants: dict[str, Any]) -> Policies:
    resources: dict[str, dict[str, Any]] = {
        "google_storage_bucket": {"b": {"name": "b", "project": "p", "versioning": []}},
        "google_storage_managed_folder": {
            f"b/{name}": {"bucket": "b", "name": name} for name in ("in/", "in/deep/", "out/")
        },
    }
    for kind, values in grants.items():
        resources[f"google_{kind}_iam_member"] = {"grant": {**MEMBER, "condition": [], **values}}
    return Policies({**EMPTY, "resources": resources})


def test_managed_folder_gives_what_is_in_it_and_nothing_beside() -> None:
    seen = policies(
        storage_managed_folder={
            "bucket": "b", "managed_folder": "in/", "role": "roles/storage.objectViewer",
        }
    )  # fmt: skip
    for name in ("in/a", "in/deep/a"):
        assert seen.allows(STEP, GET, seen.objects("b", name))
    assert seen.allows(STEP, LIST, seen.objects("b", "in/"))
    assert not seen.allows(STEP, CREATE, seen.objects("b", "in/a"))
    for name in ("", "i", "out/a", "inside/a"):
        assert not seen.allows(STEP, LIST, seen.objects("b", name)), name
    assert not seen.allows("other@p.iam.gserviceaccount.com", GET, seen.objects("b", "in/a"))
    assert not seen.allows(STEP, "storage.buckets.get", seen.bucket("b"))


def test_grants_on_project_and_bucket_reach_down() -> None:
    by_project = policies(project={"project": "p", "role": "roles/aiplatform.user"})
    assert by_project.allows(STEP, "aiplatform.models.upload", project("p"))
    assert not by_project.allows(STEP, "aiplatform.models.upload", project("q"))
    assert not by_project.allows(STEP, GET, by_project.objects("b", "in/a"))
    by_bucket = policies(storage_bucket={"bucket": "b", "role": "roles/storage.legacyBucketReader"})
    assert by_bucket.allows(STEP, LIST, by_bucket.objects("b", ""))
    assert not by_bucket.allows(STEP, GET, by_bucket.objects("b", "in/a"))
    by_viewer = policies(project={"project": "p", "role": "roles/storage.objectViewer"})
    assert by_viewer.allows(STEP, GET, by_viewer.objects("b", "out/a"))


def test_condition_on_the_name_holds_for_objects_and_not_for_their_listing() -> None:
    seen = policies(
        storage_bucket={
            "bucket": "b", "role": "roles/storage.objectViewer",
            "condition": [
                {"expression": 'resource.name.startsWith("projects/_/buckets/b/objects/p/x")'}
            ],
        }
    )  # fmt: skip
    assert seen.allows(STEP, GET, seen.objects("b", "p/x/state"))
    assert not seen.allows(STEP, GET, seen.objects("b", "p/y/state"))
    assert not seen.allows(STEP, LIST, seen.objects("b", ""))


def test_account_and_repository_have_policies_of_their_own() -> None:
    serving = "sam-serving@p.iam.gserviceaccount.com"
    acts = policies(
        service_account={
            "service_account_id": f"projects/p/serviceAccounts/{serving}",
            "role": "roles/iam.serviceAccountUser",
        }
    )
    assert acts.allows(STEP, "iam.serviceAccounts.actAs", account(serving))
    assert not acts.allows(STEP, "iam.serviceAccounts.actAs", account(STEP))
    pulls = policies(
        artifact_registry_repository={
            "project": "p", "location": "us-west1", "repository": "images",
            "role": "roles/artifactregistry.reader",
        }
    )  # fmt: skip
    pull = "artifactregistry.repositories.downloadArtifacts"
    assert pulls.allows(STEP, pull, repository("p", "us-west1", "images"))
    assert not pulls.allows(STEP, pull, repository("p", "us-west1", "other"))


def test_agent_has_its_role_on_its_own_project_once_it_exists() -> None:
    seen = policies()
    assert seen.allows(AGENT, GET, seen.objects("b", "in/a"))
    assert seen.allows(AGENT, "iam.serviceAccounts.getAccessToken", account(STEP))
    assert not seen.allows(AGENT, "iam.serviceAccounts.setIamPolicy", account(STEP))
    assert not seen.allows(AGENT, "aiplatform.models.get", project("q"))
    absent = Policies({**EMPTY, "agents": []})
    assert not absent.allows(AGENT, "aiplatform.models.get", project("p"))
    made = Policies({**EMPTY, "agents": [AGENT]})
    assert made.allows(AGENT, "aiplatform.models.get", project("p"))


def test_operator_owns_everything_and_a_role_nobody_knows_gives_nothing() -> None:
    seen = policies(project={"project": "p", "role": "roles/made.up"})
    assert seen.allows(OPERATOR, "storage.buckets.delete", seen.bucket("b"))
    assert not seen.allows(STEP, GET, seen.objects("b", "in/a"))
    with pytest.raises(UnknownRoleError):
        permissions_of("roles/made.up")
    assert set(AGENT_ROLES.values()) <= known_roles()


def test_callers_are_known_by_token_or_by_the_address_they_call() -> None:
    assert caller_of("") == OPERATOR
    assert caller_of(f"Bearer {STEP}") == STEP
    address = address_as("http://127.0.0.1:4443", STEP)
    assert address == "http://sam-pipeline%40p.iam.gserviceaccount.com:rehearsed@127.0.0.1:4443"
    assert address_as(address, AGENT).endswith(":rehearsed@127.0.0.1:4443")
    basic = base64.b64encode(f"{STEP}:rehearsed".encode()).decode()
    assert caller_of(f"Basic {basic}") == STEP
    for wrong in ("Bearer ya29.real-token", "Basic !", "Bearer "):
        with pytest.raises(UnknownCallerError):
            caller_of(wrong)
