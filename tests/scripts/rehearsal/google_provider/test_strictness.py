"""What the real provider refuses, the stand-in refuses: through the real Terraform."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.local_cloud import Cloud
from tests.stand_ins.attached_provider import AttachedProvider

BUCKET = {"name": "a-bucket-of-tests", "location": "us-west1", "project": "p-tests"}
REPOSITORY = {"repository_id": "r", "format": "DOCKER", "location": "us-west1"}
ENDPOINT = {"name": "e", "display_name": "e", "location": "us-west1"}
BUDGET = {"billing_account": "X"}
WORKBENCH = {"name": "w", "location": "us-west1-b"}
ALERT: dict[str, Any] = {"display_name": "a", "combiner": "OR"}
THRESHOLD = {"comparison": "COMPARISON_GT", "duration": "60s"}
MEMBER = {"bucket": "b", "role": "roles/storage.objectViewer", "member": "user:a@b.c"}
RULE = {"condition": {"age": 1}}
FILES: dict[str, Any] = {
    "autodetect": False, "source_format": "PARQUET", "source_uris": ["gs://b/*.parquet"],
}  # fmt: skip
TABLE: dict[str, Any] = {
    "dataset_id": "existing", "table_id": "t", "schema": '[{"name": "c", "type": "STRING"}]',
}  # fmt: skip


def terraform(
    folder: Path,
    cloud: Cloud,
    resources: dict[str, Any],
    *arguments: str,
    world: Path,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Terraform on some resources; without variables it starts the provider by itself."""
    (folder / "main.tf.json").write_text(
        json.dumps(
            {
                "terraform": {"required_providers": {"google": {"source": "hashicorp/google"}}},
                "provider": {"google": {"project": "p-tests"}},
                "resource": resources,
            }
        )
    )
    environment = {
        "PATH": os.environ["PATH"],
        **cloud.environment(),
        "SAM_REHEARSAL_WORLD": str(world),
        **(variables or {}),
    }

    def call(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *command], cwd=folder, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    if not (folder / ".terraform").exists():
        initialized = call("init", "-no-color")
        assert initialized.returncode == 0, initialized.stderr
    return call(*arguments, "-no-color")


def attached(
    folder: Path, cloud: Cloud, resources: dict[str, Any], *arguments: str, world: Path
) -> subprocess.CompletedProcess[str]:
    """Run Terraform on some resources, attached to a provider in this process."""
    provider = AttachedProvider(World(world), cloud.storage_url)
    try:
        variables = provider.environment()
        return terraform(folder, cloud, resources, *arguments, world=world, variables=variables)
    finally:
        provider.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that is initialized once."""
    return tmp_path_factory.mktemp("strict")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        pytest.param("google_storage_bucket", {"name": "b"}, '"location" is required',
                     id="required"),
        pytest.param("google_storage_bucket", {**BUCKET, "colour": 1}, 'named "colour"',
                     id="unknown argument"),
        pytest.param("google_storage_bucket", {**BUCKET, "url": "x"}, 'for "url"',
                     id="computed only"),
        pytest.param("google_storage_bucket", {**BUCKET, "versioning": [{"enabled": True}] * 2},
                     "No more than 1", id="block once"),
        pytest.param("google_storage_bucket",
                     {**BUCKET, "lifecycle_rule": [{**RULE, "action": {"type": "Erase"}}]},
                     "expected lifecycle_rule.action.type to be one of", id="enum in blocks"),
        pytest.param("google_storage_bucket",
                     {**BUCKET, "lifecycle_rule": [{**RULE, "action": {"type": "Delete"}}] * 101},
                     "at most 100", id="list limit"),
        pytest.param("google_storage_bucket",
                     {**BUCKET, "soft_delete_policy": {"retention_duration_seconds": 60}},
                     "to be 0 or 604800", id="soft delete"),
        pytest.param("google_storage_bucket", {**BUCKET, "labels": {"App": "x"}}, "invalid key",
                     id="label"),
        pytest.param("google_storage_managed_folder", {"bucket": "b", "name": "folder"},
                     "doesn't match regexp", id="folder without slash"),
        pytest.param("google_storage_bucket_object", {"bucket": "b", "name": "o"},
                     "one of `content,source`", id="object of nothing"),
        pytest.param("google_storage_bucket_object",
                     {"bucket": "b", "name": "o", "content": "c", "source": "s"},
                     "one of `content,source`", id="object of both"),
        pytest.param("google_artifact_registry_repository", {**REPOSITORY, "mode": "CACHE"},
                     "expected mode to be one of", id="mode"),
        pytest.param("google_artifact_registry_repository",
                     {**REPOSITORY, "cleanup_policies": [
                         {"id": "i", "action": "DELETE",
                          "most_recent_versions": {"keep_count": 1}}]},
                     "only be specified with a Keep", id="delete the newest"),
        pytest.param("google_service_account", {"account_id": "short"}, "doesn't match regexp",
                     id="account id"),
        pytest.param("google_service_account", {"account_id": "longer", "description": "d" * 257},
                     "at most 256", id="description"),
        pytest.param("google_project_service", {"service": "storage"}, "doesn't match regexp",
                     id="service"),
        pytest.param("google_storage_bucket_iam_member", {**MEMBER, "role": "viewer"},
                     "doesn't match regexp", id="role"),
        pytest.param("google_storage_bucket_iam_member", {**MEMBER, "member": "a@b.c"},
                     "doesn't match regexp", id="member"),
        pytest.param("google_workbench_instance",
                     {**WORKBENCH, "gce_setup": {"accelerator_configs": [
                         {"type": "NVIDIA_T4", "core_count": "1"}]}},
                     "expected gce_setup.accelerator_configs.type", id="accelerator"),
        pytest.param("google_workbench_instance",
                     {**WORKBENCH, "instance_owners": ["a@b.c", "d@e.f"]}, "at most 1",
                     id="owners"),
        pytest.param("google_workbench_instance",
                     {**WORKBENCH, "gce_setup": {"vm_image": {"family": "f", "name": "n"}}},
                     "one of `family,name`", id="image twice"),
        pytest.param("google_vertex_ai_endpoint", {**ENDPOINT, "display_name": "d" * 129},
                     "at most 128", id="display name"),
        pytest.param("google_vertex_ai_endpoint", {**ENDPOINT, "traffic_split": "{"},
                     "invalid JSON", id="json"),
        pytest.param("google_vertex_ai_endpoint",
                     {**ENDPOINT, "dedicated_endpoint_enabled": True,
                      "private_service_connect_config": {"enable_private_service_connect": True}},
                     "Conflicting configuration arguments", id="dedicated and private"),
        pytest.param("google_bigquery_dataset", {"dataset_id": "with-hyphen"},
                     "doesn't match regexp", id="data set"),
        pytest.param("google_bigquery_table",
                     {**TABLE, "external_data_configuration": {**FILES, "source_format": "PNG"}},
                     "source_format to be one of", id="format of a table"),
        pytest.param("google_kms_crypto_key",
                     {"name": "k", "key_ring": "r", "rotation_period": "90d"},
                     "doesn't match regexp", id="rotation unit"),
        pytest.param("google_kms_crypto_key",
                     {"name": "k", "key_ring": "r", "rotation_period": "60s"}, "below 86400s",
                     id="rotation too often"),
        pytest.param("google_billing_budget", BUDGET, 'At least 1 "amount" blocks are required',
                     id="budget of nothing"),
        pytest.param("google_billing_budget",
                     {**BUDGET, "amount": {"specified_amount": {"units": "1"},
                                           "last_period_amount": True}},
                     "one of `specified_amount,last_period_amount`", id="budget twice"),
        pytest.param("google_monitoring_alert_policy",
                     {**ALERT, "conditions": [{"display_name": "c", "condition_threshold":
                         {**THRESHOLD, "comparison": "GREATER"}}]},
                     "expected conditions.condition_threshold.comparison", id="comparison"),
    ],
)  # fmt: skip
def test_configuration_is_refused_by_validate(
    kind: str, values: dict[str, Any], message: str, folder: Path, cloud: Cloud
) -> None:
    done = attached(folder, cloud, {kind: {"it": values}}, "validate", world=folder / "world.json")
    assert done.returncode == 1
    text = " ".join(done.stderr.split())
    assert message in text or message.replace('"', "") in text.replace('"', "")


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        pytest.param("google_storage_bucket", {**BUCKET, "name": "Capital"}, "Invalid bucket name",
                     id="bucket name"),
        pytest.param("google_storage_bucket", {**BUCKET, "location": "mars"},
                     "location constraint is not valid", id="location"),
        pytest.param("google_storage_bucket", {**BUCKET, "public_access_prevention": "never"},
                     "publicAccessPrevention", id="public access"),
        pytest.param("google_storage_managed_folder", {"bucket": "missing", "name": "f/"},
                     "bucket 'missing' does not exist", id="missing bucket"),
        pytest.param("google_storage_bucket_iam_member",
                     {**MEMBER, "bucket": "existing-bucket",
                      "member": "serviceAccount:nobody@p-tests.iam.gserviceaccount.com"},
                     "nobody@p-tests.iam.gserviceaccount.com does not exist", id="missing account"),
        pytest.param("google_storage_bucket",
                     {**BUCKET, "encryption": {"default_kms_key_name": "existing-key"}},
                     "Permission denied on Cloud KMS key", id="key without grant"),
        pytest.param("google_kms_crypto_key", {"name": "k", "key_ring": "missing"},
                     "key_ring 'missing' does not exist", id="missing ring"),
        pytest.param("google_workbench_instance", {**WORKBENCH, "location": "us-west1"},
                     "is not a zone", id="region for zone"),
        pytest.param("google_workbench_instance",
                     {**WORKBENCH, "gce_setup": {"machine_type": "e2-standard-4",
                      "accelerator_configs": [{"type": "NVIDIA_TESLA_T4", "core_count": "1"}]}},
                     "takes no NVIDIA_TESLA_T4", id="T4 on E2"),
        pytest.param("google_vertex_ai_endpoint", {**ENDPOINT, "name": "012"}, "not valid",
                     id="endpoint id"),
        pytest.param("google_bigquery_table", {**TABLE, "dataset_id": "missing"},
                     "Dataset p-tests:missing", id="missing data set"),
        pytest.param("google_bigquery_table",
                     {**TABLE, "external_data_configuration":
                         {**FILES, "source_uris": ["gs://b/*/annotations/*.parquet"]}},
                     "Invalid source URI", id="two wildcards"),
        pytest.param("google_bigquery_table",
                     {**TABLE, "external_data_configuration": FILES}, "Not found: URI",
                     id="files of no bucket"),
    ],
)  # fmt: skip
def test_apply_is_refused_by_the_service(
    kind: str, values: dict[str, Any], message: str, tmp_path: Path, cloud: Cloud
) -> None:
    enabled_project = "p-tests"
    world = World(tmp_path / "world.json")
    with world.open() as contents:
        contents["existing"] = ["existing-bucket", "existing-key"]
        contents["resources"]["google_project_service"] = {
            f"{enabled_project}/{api}.googleapis.com": {}
            for api in ("storage", "cloudkms", "notebooks", "aiplatform", "iam", "bigquery")
        }
        contents["resources"]["google_bigquery_dataset"] = {
            f"projects/{enabled_project}/datasets/existing": {}
        }
    done = attached(
        tmp_path, cloud, {kind: {"it": values}}, "apply", "-auto-approve", world=world.path
    )
    assert done.returncode == 1
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_service_that_is_not_enabled_is_refused(tmp_path: Path, cloud: Cloud) -> None:
    done = terraform(
        tmp_path, cloud, {"google_storage_bucket": {"it": BUCKET}}, "apply", "-auto-approve",
        world=tmp_path / "world.json",
    )  # fmt: skip
    assert "storage.googleapis.com has not been used" in " ".join(done.stderr.split())


def test_existing_thing_is_imported_and_duplicate_refused(tmp_path: Path, cloud: Cloud) -> None:
    """A second state meets what a first one made: no duplicate is made, an import takes it over."""
    world = tmp_path / "world.json"
    account = {"google_service_account": {"it": {"account_id": "an-account", "project": "p-tests"}}}
    api = {"google_project_service": {"iam": {"service": "iam.googleapis.com"}}}
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert terraform(first, cloud, api, "apply", "-auto-approve", world=world).returncode == 0
    made = terraform(first, cloud, {**api, **account}, "apply", "-auto-approve", world=world)
    assert made.returncode == 0, made.stderr
    again = terraform(second, cloud, account, "apply", "-auto-approve", world=world)
    assert "already exists" in again.stderr
    id_ = "projects/p-tests/serviceAccounts/an-account@p-tests.iam.gserviceaccount.com"
    address = "google_service_account.it"
    imported = subprocess.run(
        ["terraform", "import", "-no-color", address, id_], cwd=second, capture_output=True,
        text=True, check=False,
        env={"PATH": os.environ["PATH"], **cloud.environment(), "SAM_REHEARSAL_WORLD": str(world)},
    )  # fmt: skip
    assert imported.returncode == 0, imported.stderr
    planned = terraform(second, cloud, account, "plan", "-detailed-exitcode", world=world)
    assert planned.returncode == 0, planned.stdout


def test_provider_started_by_hand_says_what_it_is() -> None:
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "scripts.rehearsal.google_provider"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: this is a Terraform plugin\nhint: ")
