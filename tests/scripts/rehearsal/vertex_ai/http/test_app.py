"""The routes: each custom method by itself, errors in Google's form, and a list of them all."""

from __future__ import annotations

import pytest
import requests

from tests.stand_ins.vertex import ENDPOINT, PARENT, Vertex


def test_openapi_lists_the_routes_with_their_methods(vertex: Vertex) -> None:
    url = f"{vertex.cloud.vertex_url}/rehearsal/openapi.json"
    paths = requests.get(url, timeout=10).json()["paths"]
    parent = "/v1/projects/{project}/locations/{location}"
    assert set(paths[f"{parent}/models:upload"]) == {"post"}
    assert set(paths[f"{parent}/models/{{model}}"]) == {"get", "delete"}
    assert set(paths[f"{parent}/endpoints/{{endpoint}}"]) == {"get", "patch", "delete"}
    assert set(paths[f"{parent}/endpoints/{{endpoint}}:predict"]) == {"post"}
    assert set(paths[f"{parent}/pipelineJobs/{{job}}:cancel"]) == {"post"}


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        pytest.param("GET", f"{PARENT}/studies", 404, "has no GET projects/p1", id="resource"),
        pytest.param("POST", f"{ENDPOINT}:explain", 404, "has no POST", id="custom method"),
        pytest.param("GET", f"{PARENT}/models:upload", 404, "has no GET", id="other method"),
        pytest.param("PATCH", f"{PARENT}/models/sam", 404, "has no PATCH", id="no update"),
        pytest.param("GET", f"{ENDPOINT}/", 404, "has no GET", id="slash at the end"),
        pytest.param("PUT", ENDPOINT, 405, "Not Allowed", id="method of no route"),
        pytest.param("GET", f"{PARENT}/models/a/operations/1", 404, "not found", id="operation"),
        pytest.param("POST", f"{ENDPOINT}:deployModel", 400, "Invalid JSON", id="body"),
    ],
)
def test_call_without_a_route_is_refused_in_googles_form(
    vertex: Vertex, method: str, path: str, status: int, message: str
) -> None:
    url = f"{vertex.cloud.vertex_url}/v1/{path}"
    reply = requests.request(method, url, data=b"{", timeout=10)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert error["code"] == status
    assert message in error["message"]


def test_another_version_of_the_api_is_refused(vertex: Vertex) -> None:
    reply = requests.get(f"{vertex.cloud.vertex_url}/v2/{ENDPOINT}", timeout=10)
    assert reply.json()["error"]["message"] == "No such version v2."
    console = requests.get(f"{vertex.cloud.vertex_url}/ui/{ENDPOINT}", timeout=10)
    assert console.json()["name"] == ENDPOINT


def test_dedicated_name_only_predicts(vertex: Vertex) -> None:
    host = vertex.ok("GET", ENDPOINT)["dedicatedEndpointDns"]
    reply = requests.get(
        f"https://{host}/v1/{ENDPOINT}", timeout=10, verify=str(vertex.cloud.home / "vertex.pem")
    )
    assert reply.status_code == 404
    assert reply.json()["error"]["message"] == "This name only predicts."


def test_endpoint_is_also_asked_by_the_name_of_its_host(vertex: Vertex) -> None:
    """As the services of a project are, by whoever has no SDK at hand."""
    base = f"{vertex.cloud.vertex_url}/apis/us-west1-aiplatform.googleapis.com/v1"
    assert requests.get(f"{base}/{ENDPOINT}", timeout=10).json()["name"] == ENDPOINT
    headers = {"Authorization": "Bearer nobody@p1.iam.gserviceaccount.com"}
    refused = requests.get(f"{base}/{PARENT}/endpoints", headers=headers, timeout=10)
    assert refused.status_code == 403
