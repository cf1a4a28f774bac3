"""Deploy, change, drift, fail, mend, destroy: the real Terraform against the stand-in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import tftest

from infra.stacks import PLATFORM, SERVING
from pipeline.run.output_layout import table_name
from scripts.checkout import ROOT
from scripts.rehearsal.google_provider.objects import Objects
from scripts.rehearsal.local_cloud import Cloud
from tests.infra.deployment import STACKS, Deploy, Deployment, document, error_of


def buckets(storage_url: str) -> list[str]:
    with urllib.request.urlopen(f"{storage_url}/storage/v1/b") as reply:
        return [item["name"] for item in json.load(reply).get("items", [])]


def test_deploy_then_destroy_leaves_nothing(deployment: Deploy) -> None:
    """Bucket, folders and script really exist in storage in between; a second plan is empty."""
    made = deployment(bigquery=True)
    outputs = made.apply()
    bucket = outputs[PLATFORM]["bucket_name"]
    objects = Objects(made.storage_url)
    names = objects.names(bucket, "")
    assert "startup/post-startup.sh" in names
    assert {name.split("/")[0] for name in names} == {
        "batch-prediction-images", "build", "pipeline", "predictions", "sam-checkpoint", "startup",
    }  # fmt: skip
    assert made.resources()["google_storage_bucket"][bucket]["location"] == "US-WEST1"
    assert outputs[PLATFORM]["masks_table"] == f"{made.project}.sam_results.masks"
    (table,) = made.resources()["google_bigquery_table"].values()
    (uri,) = table["external_data_configuration"][0]["source_uris"]
    assert fnmatch(f"gs://{bucket}/pipeline/photos/{table_name(0)}", uri)
    assert not fnmatch(f"gs://{bucket}/pipeline/photos/exports/parquet/part.parquet", uri)
    endpoint = f"projects/{made.project}/locations/us-west1/endpoints/sam-endpoint"
    assert outputs[SERVING]["endpoint_resource_name"] == endpoint
    assert {stack: made.changes(stack) for stack in STACKS} == {stack: {} for stack in STACKS}
    made.destroy()
    assert made.resources() == {}
    assert bucket not in buckets(made.storage_url)


@pytest.mark.parametrize(
    ("changed", "stack", "expected"),
    [
        pytest.param(
            {"workbench_machine": "n1-standard-4"}, PLATFORM,
            {"google_workbench_instance.workbench_instance": ["update"]}, id="machine in place",
        ),
        pytest.param(
            {"zone": "us-west1-a"}, PLATFORM,
            {"google_workbench_instance.workbench_instance": ["delete", "create"]},
            id="zone replaces the Workbench",
        ),
        pytest.param(
            {"workbench_image": "debian-12"}, PLATFORM,
            {"google_workbench_instance.workbench_instance": ["delete", "create"]},
            id="image replaces the Workbench",
        ),
        pytest.param(
            {"soft_delete_days": 30}, PLATFORM,
            {"google_storage_bucket.storage_bucket": ["update"]}, id="soft delete in place",
        ),
        pytest.param(
            {"keep_images": 3}, PLATFORM,
            {"google_artifact_registry_repository.registry_repository": ["update"]},
            id="cleanup in place",
        ),
        pytest.param(
            {"repository_ref": "v2"}, PLATFORM,
            {"google_storage_bucket_object.workbench_script": ["update"]}, id="script in place",
        ),
        pytest.param(
            {"endpoint_type": "shared"}, SERVING,
            {
                "google_vertex_ai_endpoint.endpoint": ["update"],
                "terraform_data.model_teardown": ["update"],
            },
            id="endpoint type in place",
        ),
        pytest.param(
            {"endpoint_id": "other"}, SERVING,
            {
                "google_vertex_ai_endpoint.endpoint": ["delete", "create"],
                "terraform_data.model_teardown": ["delete", "create"],
            },
            id="endpoint id replaces the endpoint",
        ),
        pytest.param(
            {"workbench_users": "ada@example.com"}, PLATFORM,
            {"google_service_account_iam_member.identities_user-0-acts-as-workbench": ["create"]},
            id="one more user",
        ),
    ],
)  # fmt: skip
def test_changed_setting_plans_exactly(
    changed: dict[str, Any], stack: str, expected: dict[str, list[str]], deployed: Deployment
) -> None:
    before = dict(deployed.settings)
    deployed.synthesize(**changed)
    try:
        changes = deployed.changes(stack)
    finally:
        deployed.settings = before
    assert changes == expected


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, cloud: Any) -> Iterator[Deployment]:
    """Both stacks, applied once; tests that only plan share it."""
    made = Deployment(tmp_path_factory.mktemp("deployed"), cloud)
    made.apply()
    yield made
    made.close()


def test_key_added_later_replaces_what_it_encrypts_at_birth(deployment: Deploy) -> None:
    """The bucket takes a key in place; repository, Workbench and endpoint are made anew."""
    made = deployment()
    made.apply()
    made.synthesize(cmek=True)
    kinds = {
        address.partition(".")[0]: actions
        for stack in STACKS
        for address, actions in made.changes(stack).items()
        if actions != ["create"]
    }
    assert kinds == {
        "google_storage_bucket": ["update"],
        "google_artifact_registry_repository": ["delete", "create"],
        "google_artifact_registry_repository_iam_member": ["delete", "create"],
        "google_workbench_instance": ["delete", "create"],
        "google_vertex_ai_endpoint": ["delete", "create"],
        "terraform_data": ["delete", "create"],
    }


def test_one_more_api_takes_no_grant_away(deployment: Deploy) -> None:
    """Not even for a moment: without the key's grants nobody reads or writes the bucket."""
    made = deployment(cmek=True)
    made.apply(PLATFORM)
    made.synthesize(budget=300, billing_account="012345-6789AB-CDEF01")
    # CI's account may use the project's quota then, instead of looking only.
    others = {name: done for name, done in made.changes().items() if "identities_plan" not in name}
    # One more API is waited for as the first ones were; nothing that exists hangs on that.
    assert others.pop("terraform_data.services_settled") == ["delete", "create"]
    assert {tuple(actions) for actions in others.values()} == {("create",)}


def test_drift_is_reported(deployment: Deploy) -> None:
    """What somebody deleted is planned anew, what somebody edited is planned back."""
    made = deployment()
    made.apply()
    bucket = f"{made.project}-sam"
    Objects(made.storage_url).delete(bucket, "startup/post-startup.sh")
    with made.world.open() as world:
        resources = world["resources"]
        resources["google_storage_bucket"][bucket]["public_access_prevention"] = "inherited"
        grants = resources["google_project_iam_member"]
        (gone,) = [id_ for id_ in grants if "roles/compute.viewer" in id_]
        del grants[gone]
    assert made.changes() == {
        "google_project_iam_member.identities_plan-compute-viewer": ["create"],
        "google_storage_bucket.storage_bucket": ["update"],
        "google_storage_bucket_object.workbench_script": ["create"],
    }


def test_apply_that_fails_half_way_is_mended_by_the_next(deployment: Deploy) -> None:
    """The Workbench fails after it was made: it is tainted, and the next apply replaces it."""
    made = deployment()
    fault = {"type": "google_workbench_instance", "action": "create", "kind": "fail_after"}
    with made.world.open() as world:
        world["faults"] = [{**fault, "times": 1}]
    with pytest.raises(tftest.TerraformTestError) as failed:
        made.apply(PLATFORM)
    assert "operation failed (injected)" in error_of(failed)
    assert made.changes() == {
        "google_workbench_instance.workbench_instance": ["delete", "create"],
        "terraform_data.destroy-guard-of-all_guard": ["create"],
    }
    made.apply(PLATFORM)
    assert made.changes() == {}


def test_apply_that_is_refused_is_mended_by_the_next(deployment: Deploy) -> None:
    made = deployment()
    fault = {"type": "google_artifact_registry_repository", "action": "create", "kind": "fail"}
    with made.world.open() as world:
        world["faults"] = [{**fault, "times": 1}]
    with pytest.raises(tftest.TerraformTestError) as failed:
        made.apply(PLATFORM)
    assert "Error 500" in error_of(failed)
    made.apply(PLATFORM)
    assert made.changes() == {}


def test_busy_service_fails_once_and_a_slow_one_takes_its_time(deployment: Deploy) -> None:
    """The provider does not try a 409 again; the operator's next deploy does."""
    made = deployment()
    with made.world.open() as world:
        world["faults"] = [
            {"type": "google_workbench_instance", "action": "create", "kind": "conflict",
             "times": 1},
            {"type": "google_storage_bucket", "action": "create", "kind": "slow", "times": 1,
             "seconds": 0.3},
        ]  # fmt: skip
    with pytest.raises(tftest.TerraformTestError) as busy:
        made.apply(PLATFORM)
    assert "unable to queue the operation" in error_of(busy)
    made.apply(PLATFORM)
    assert made.changes() == {}


def test_state_goes_to_a_bucket_by_setting(deployment: Deploy) -> None:
    made = deployment(state_bucket="company-state")
    text = (made.stacks / PLATFORM / "cdk.tf.json").read_text("utf-8")
    backend = json.loads(text)["terraform"]["backend"]
    assert backend == {
        "gcs": {"bucket": "company-state", "prefix": f"{made.project}/sam/{PLATFORM}"}
    }
    assert "resource.name.startsWith" in text  # CI may write the state's lock, and only there


def test_state_stays_in_the_folder_that_is_named(deployment: Deploy) -> None:
    """A rehearsal names its own, so that it never meets the state of something real."""
    made = deployment(state_folder="/a/folder")
    backend = document(made.stacks, PLATFORM)["terraform"]["backend"]
    assert backend == {
        "local": {"path": f"/a/folder/terraform.{made.project}.sam.{PLATFORM}.tfstate"}
    }


def test_synthesized_documents_name_no_machine(deployment: Deploy, tmp_path: Path) -> None:
    """They work with plain Terraform wherever they are copied, and need neither Node nor Python."""
    made = deployment()
    for stack in STACKS:
        source = made.stacks / stack / "cdk.tf.json"
        assert str(tmp_path) not in source.read_text("utf-8")
        copied = tmp_path / "else" / "where" / "in" / stack
        copied.mkdir(parents=True)
        shutil.copy(source, copied)
        test = tftest.TerraformTest(str(copied), env=made.environment)
        test.setup(cleanup_on_exit=False)
        test.apply()
        assert test.output()
    assert (tmp_path / "else" / f"terraform.{made.project}.sam.{SERVING}.tfstate").exists()


def test_second_platform_of_a_checkout_leaves_the_state_of_the_first_alone(
    tmp_path: Path, cloud: Cloud
) -> None:
    """As cdktf does it: the app, then 'terraform init', in one folder for all platforms."""
    stack = tmp_path / "cdktf.out" / "stacks" / PLATFORM

    def run(*command: str, **settings: str) -> str:
        shell = {"SAM_PROJECT_ID": "my-project", "PYTHONPATH": str(ROOT), **settings}
        environment = {**os.environ, **cloud.environment(), "SAM_STATE_FOLDER": "", **shell}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def synthesize(**settings: str) -> None:
        run(sys.executable, "-m", "infra.main", **settings)
        run("terraform", f"-chdir={stack}", "init", "-input=false", **settings)

    def resources() -> list[str]:
        state = run("terraform", f"-chdir={stack}", "state", "pull")
        return [item["name"] for item in json.loads(state or "{}").get("resources", [])]

    synthesize()
    kinds = document(tmp_path / "cdktf.out" / "stacks", PLATFORM)["resource"]
    (report,) = [name for name in kinds["terraform_data"] if "destroy-report" in name]
    target = f"-target=terraform_data.{report}"
    run("terraform", f"-chdir={stack}", "apply", "-auto-approve", target)
    synthesize(SAM_PREFIX="two")
    assert resources() == []
    synthesize()
    assert resources() == [report]
