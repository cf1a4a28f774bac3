"""A project that was made today says no to what needs an agent, a quota or a moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from scripts.cli import app
from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.google_provider.services.data_sources import read_data
from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.google_provider.services.refusals import ServiceError
from scripts.rehearsal.google_provider.services.service import Service
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.new_project import make_new
from scripts.rehearsal.vertex_ai.jobs.pipeline_checks import accelerators_at_once
from scripts.rehearsal.vertex_ai.machines import check_resources, check_training_quota
from scripts.rehearsal.vertex_ai.permissions import Permissions, agent_of

GPU = {"machineType": "n1-standard-4", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
STORAGE_AGENT = f"service-{project_number('p')}@gs-project-accounts.iam.gserviceaccount.com"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "world.json")
    make_new(world)
    with world.open() as contents:
        contents["resources"]["google_project_service"] = {
            f"p/{api}.googleapis.com": {"project": "p", "service": f"{api}.googleapis.com"}
            for api in ("notebooks", "aiplatform")
        }
        contents["vertex"] = {"deployments": {}}
    return world


def grant_to(service: Service, email: str) -> None:
    values = {"project": "p", "role": "roles/viewer", "member": f"serviceAccount:{email}"}
    service.create("google_project_iam_member", {**values, "condition": []})


def workbench(name: str) -> dict[str, object]:
    accelerator = {"type": "NVIDIA_TESLA_T4", "core_count": "1"}
    setup = {"machine_type": "n1-standard-2", "accelerator_configs": [accelerator]}
    return {
        "name": name, "project": "p", "location": "us-west1-b", "desired_state": "ACTIVE",
        "gce_setup": [{**setup, "metadata": {}}],
    }  # fmt: skip


def test_nothing_is_granted_to_an_agent_that_nobody_has_made(world: World) -> None:
    """Vertex AI's is made by Service Usage, Cloud Storage's by the data source that reads it."""
    service = Service(world, None)
    for email in (agent_of("p"), STORAGE_AGENT):
        with pytest.raises(ServiceError, match=f"{email} does not exist"):
            grant_to(service, email)
    read_data(service, "google_storage_project_service_account", {}, "p")
    grant_to(service, STORAGE_AGENT)
    with world.open() as contents:
        contents["agents"].append(agent_of("p"))
    grant_to(service, agent_of("p"))


def test_agent_of_compute_engine_comes_with_its_api(world: World) -> None:
    service = Service(world, None)
    email = f"service-{project_number('p')}@compute-system.iam.gserviceaccount.com"
    with pytest.raises(ServiceError, match=f"{email} does not exist"):
        grant_to(service, email)
    api = {"project": "p", "service": "compute.googleapis.com", "disable_on_destroy": False}
    service.create("google_project_service", api)
    grant_to(service, email)
    assert world.read()["agents"] == [email]


def test_first_call_that_needs_the_agent_is_asked_to_wait(world: World) -> None:
    permissions = Permissions(world)
    with pytest.raises(ApiError, match="Service Agents are being provisioned"):
        permissions.require_agent("p")
    permissions.require_agent("p")
    assert agent_of("p") in world.read()["agents"]


def test_api_that_was_enabled_a_moment_ago_refuses_its_first_call(world: World) -> None:
    """Terraform does not try again, so somebody has to wait before it goes on."""
    service = Service(world, None)
    api = {"project": "p", "service": "iam.googleapis.com", "disable_on_destroy": False}
    service.create("google_project_service", api)
    account = {"project": "p", "account_id": "sam-serving", "disabled": False}
    with pytest.raises(ServiceError, match="If you enabled this API recently"):
        service.create("google_service_account", account)
    service.create("google_service_account", account)
    service.create("google_project_service", {**api, "service": "storage.googleapis.com"})
    assert not world.read()["settling"].get("storage.googleapis.com")  # it was on before


def test_one_gpu_serves_one_trains_and_one_is_the_workbenchs(world: World) -> None:
    resources = {"machineSpec": GPU, "minReplicaCount": 1, "maxReplicaCount": 1}
    contents = world.read()
    check_resources(resources, contents)
    with pytest.raises(ApiError, match="custom_model_serving_nvidia_t4_gpus"):
        check_resources({**resources, "maxReplicaCount": 2}, contents)
    graph = {
        "root": {"dag": {"tasks": {"a": {"iteratorPolicy": {"parallelismLimit": 2}}}}},
        "deploymentSpec": {
            "executors": {
                "a": {"container": {"resources": {"accelerator": {"type": "NVIDIA_TESLA_T4"}}}}
            }
        },
    }
    assert accelerators_at_once(graph) == {"NVIDIA_TESLA_T4": 2}
    with pytest.raises(ApiError, match="custom_model_training_nvidia_t4_gpus"):
        check_training_quota("NVIDIA_TESLA_T4", 2, contents)
    check_training_quota("NVIDIA_TESLA_T4", 1, contents)
    service = Service(world, None)
    service.create("google_workbench_instance", workbench("one"))
    with pytest.raises(ServiceError, match="Quota 'GPUS_ALL_REGIONS' exceeded"):
        service.create("google_workbench_instance", workbench("two"))


def test_project_without_gpus_has_no_workbench(tmp_path: Path) -> None:
    world = World(tmp_path / "world.json")
    make_new(world, gpus=False)
    with world.open() as contents:
        contents["resources"]["google_project_service"] = {"p/notebooks.googleapis.com": {}}
    with pytest.raises(ServiceError, match=r"Limit: 0\.0 globally"):
        Service(world, None).create("google_workbench_instance", workbench("one"))


def test_options_that_would_change_nothing_are_refused(tmp_path: Path) -> None:
    """Without a new project there is no quota to take away; a project that is there is not new."""
    start = ["rehearsal", "start", "--home", str(tmp_path)]
    done = CliRunner().invoke(app, [*start, "--no-gpus"])
    assert done.exit_code == 2 and "add --new-project" in done.output
    (tmp_path / "world.json").write_text("{}")
    done = CliRunner().invoke(app, [*start, "--new-project"])
    assert done.exit_code == 2 and "is there already" in done.output
    assert not (tmp_path / "cloud.json").exists()
