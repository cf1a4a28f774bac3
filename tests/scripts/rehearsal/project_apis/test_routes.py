"""The services of a project, asked by the code that asks Google's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from scripts.rehearsal.api_errors import ApiError
from scripts.rehearsal.google_provider.services.identity import project_number
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.project_apis.routes import make_router
from scripts.rehearsal.vertex_ai.http.app import answer_refusal

Ask = Callable[..., Any]
PROJECT = "/cloudresourcemanager.googleapis.com/v3/projects/p"
AGENT = f"service-{project_number('p')}@gcp-sa-aiplatform.iam.gserviceaccount.com"
MAKE = (
    "/serviceusage.googleapis.com/v1beta1/projects/p/services/aiplatform.googleapis.com"
    ":generateServiceIdentity"
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world.json")


@pytest.fixture
def client(world: World) -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(make_router(world))
    app.add_exception_handler(ApiError, answer_refusal)
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def enable(world: World, *apis: str) -> None:
    with world.open() as contents:
        contents["resources"]["google_project_service"] = {
            f"p/{api}": {"project": "p", "service": f"{api}.googleapis.com"} for api in apis
        }


def test_api_that_is_off_refuses_and_says_where_to_turn_it_on(
    client: TestClient, world: World
) -> None:
    probe = "/apis/iam.googleapis.com/v1/projects/p/serviceAccounts?pageSize=1"
    refused = client.get(probe)
    error = refused.json()["error"]
    assert (refused.status_code, error["details"][0]["reason"]) == (403, "SERVICE_DISABLED")
    enable(world, "iam")
    with world.open() as contents:
        contents["settling"] = {"iam.googleapis.com": 1}
    assert [client.get(probe).status_code for _ in range(2)] == [403, 200]
    assert client.get(f"/apis{PROJECT}").json()["state"] == "ACTIVE"
    assert client.get("/apis/iam.googleapis.com/v1/projects/p/roles").status_code == 404
    listed = client.get("/apis/serviceusage.googleapis.com/v1/projects/p/services").json()
    names = {service["config"]["name"] for service in listed["services"]}
    assert {"iam.googleapis.com", "serviceusage.googleapis.com"} <= names
    assert "aiplatform.googleapis.com" not in names


def test_budgets_need_their_api_in_the_project_that_pays(client: TestClient, world: World) -> None:
    path = "/apis/billingbudgets.googleapis.com/v1/billingAccounts/A/budgets?pageSize=1"
    payer = {"X-Goog-User-Project": "p"}
    assert client.get(path, headers=payer).status_code == 403
    enable(world, "billingbudgets")
    assert client.get(path, headers=payer).status_code == 200
    assert client.get(path).status_code == 403


def test_caller_without_a_role_is_refused(client: TestClient, world: World) -> None:
    enable(world, "cloudresourcemanager")
    headers = {"Authorization": "Bearer sam-plan@p.iam.gserviceaccount.com"}
    refused = client.get(f"/apis{PROJECT}", headers=headers)
    assert refused.status_code == 403
    assert "resourcemanager.projects.get" in refused.json()["error"]["message"]
    headers = {"Authorization": "Bearer ya29.x"}
    assert client.get(f"/apis{PROJECT}", headers=headers).status_code == 401


def test_agent_exists_when_its_operation_is_done(client: TestClient, world: World) -> None:
    with world.open() as contents:
        contents["agents"] = []
    assert client.post(f"/apis{MAKE}").status_code == 403  # the API is off
    enable(world, "aiplatform")
    operation = client.post(f"/apis{MAKE}").json()
    path = f"/apis/serviceusage.googleapis.com/v1beta1/{operation['name']}"
    assert "done" not in client.get(path).json() and world.read()["agents"] == []
    assert client.get(path).json()["response"]["email"] == AGENT
    assert world.read()["agents"] == [AGENT]
    again = client.post(f"/apis{MAKE}").json()["name"]
    assert client.get(f"/apis/serviceusage.googleapis.com/v1beta1/{again}").json()["done"]


def test_agent_of_compute_engine_cannot_be_asked_for(client: TestClient, world: World) -> None:
    enable(world, "compute")
    refused = client.post(f"/apis{MAKE.replace('aiplatform', 'compute')}")
    assert refused.status_code == 400
    assert "compute.googleapis.com" in refused.json()["error"]["message"]


def test_policy_of_a_project_has_the_grants_and_the_agents_that_were_made(
    client: TestClient, world: World
) -> None:
    granted = {"project": "p", "role": "roles/viewer", "member": "user:ada@example.com"}
    with world.open() as contents:
        contents["agents"] = []
        contents["resources"]["google_project_iam_member"] = {"1": granted}
    path = "/apis/cloudresourcemanager.googleapis.com/v1/projects/p:getIamPolicy"
    viewers = {"role": "roles/viewer", "members": ["user:ada@example.com"]}
    assert client.post(path).json() == {"bindings": [viewers]}
    with world.open() as contents:
        contents["agents"] = [AGENT]
    agents = {"role": "roles/aiplatform.serviceAgent", "members": [f"serviceAccount:{AGENT}"]}
    assert client.post(path).json() == {"bindings": [agents, viewers]}


def test_quota_and_tag_are_those_of_the_world(client: TestClient, world: World) -> None:
    enable(world, "cloudquotas", "artifactregistry")
    quota = "CustomModelServingT4GPUsPerProjectPerRegion"
    with world.open() as contents:
        contents["quotas"] = {quota: 0}
        contents["images"] = {
            "us-west1-docker.pkg.dev/p/images/sam": [{"digest": "sha256:1", "tags": ["v1"]}]
        }
    path = (
        "/apis/cloudquotas.googleapis.com/v1/projects/p/locations/global/services/"
        f"aiplatform.googleapis.com/quotaInfos/{quota}"
    )
    assert client.get(path).json()["dimensionsInfos"][0]["details"]["value"] == "0"
    tags = (
        "/apis/artifactregistry.googleapis.com/v1/projects/p/locations/us-west1/repositories/images"
        "/packages/sam/tags"
    )
    assert client.get(f"{tags}/v1").json()["version"].endswith("/versions/sha256:1")
    assert client.get(f"{tags}/v2").status_code == 404
