"""The endpoint's answer comes back, and what it refuses is the server's own message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.checkout import PLATFORM, SERVING
from scripts.cloud import vertex_sdk
from scripts.online_predictions import servers
from scripts.online_predictions.servers import DeployedEndpoint, predict_address
from scripts.terminal.errors import CALLER, CLOUD, OperatorError
from tests.stand_ins.outputs import platform_outputs
from tests.stand_ins.vertex import ENDPOINT, Vertex


def outputs_file(path: Path, **serving: object) -> Path:
    """Outputs of a deployment with an endpoint, or without one."""
    path.write_text(json.dumps({PLATFORM: platform_outputs("p1"), SERVING: serving}))
    return path


def test_endpoint_answers_or_refuses_with_the_servers_message(
    vertex: Vertex, shell: None, tmp_path: Path
) -> None:
    outputs = outputs_file(
        tmp_path / "outputs.json", endpoint_resource_name=ENDPOINT, reply_limit_bytes=1000
    )
    id_ = vertex.deployed(vertex.uploaded())
    reply = DeployedEndpoint(outputs).ask({"instances": [{"a": 1}], "parameters": {}})
    about = {"deployed_model_id": id_, "metadata": {"device": "cpu"}}
    assert reply == {"predictions": [{"echo": {"a": 1}}], **about}
    with pytest.raises(OperatorError, match="the endpoint refuses: bad instance") as caught:
        DeployedEndpoint(outputs).ask({"instances": ["bad"], "parameters": {}})
    assert caught.value.exit_code == CALLER


def test_endpoint_that_is_asked_often_is_looked_up_once(
    vertex: Vertex, shell: None, fault: Callable[..., None], tmp_path: Path
) -> None:
    """A mask that follows the pointer asks many times a second."""
    outputs = outputs_file(tmp_path / "outputs.json", endpoint_resource_name=ENDPOINT)
    vertex.deployed(vertex.uploaded())
    endpoint = DeployedEndpoint(outputs)
    body = {"instances": [{"a": 1}], "parameters": {}}
    first = endpoint.ask(body)
    fault(kind="503", method="GET /")
    assert endpoint.ask(body) == first
    assert vertex.call("GET", ENDPOINT).status_code == 503  # the first that looks it up again


def test_silent_endpoint_ends_the_command_and_a_busy_one_is_asked_again(
    vertex: Vertex,
    shell: None,
    fault: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outputs = outputs_file(tmp_path / "outputs.json", endpoint_resource_name=ENDPOINT)
    body = {"instances": [{"a": 1}], "parameters": {}}
    vertex.deployed(vertex.uploaded())
    fault(kind="429", method=":predict", times=1)
    assert DeployedEndpoint(outputs).ask(body)["predictions"] == [{"echo": {"a": 1}}]
    fault(kind="slow", method=":predict", seconds=20)
    monkeypatch.setattr(servers, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(vertex_sdk, "RETRY_SECONDS", 0.0)
    with pytest.raises(OperatorError, match=r"has not answered for 0\.5 s") as caught:
        DeployedEndpoint(outputs).ask(body)
    assert caught.value.exit_code == CLOUD


def test_what_the_endpoint_cannot_take_is_refused_here(tmp_path: Path) -> None:
    """Neither case connects to anything."""
    body = {"instances": ["x" * 1000], "parameters": {}}
    with pytest.raises(OperatorError, match="holds no endpoint"):
        DeployedEndpoint(outputs_file(tmp_path / "a.json"))
    outputs = outputs_file(
        tmp_path / "b.json", endpoint_resource_name=ENDPOINT, reply_limit_bytes=1000
    )
    with pytest.raises(OperatorError, match="this endpoint takes 1000"):
        DeployedEndpoint(outputs).ask(body)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://127.0.0.1:8099", "http://127.0.0.1:8099/predict"),
        ("127.0.0.1:8099/", "http://127.0.0.1:8099/predict"),
        ("127.0.0.1:8099/predict", "http://127.0.0.1:8099/predict"),
        ("https://host/v1/m:predict?a=b", "https://host/v1/m:predict?a=b"),
    ],
)
def test_address_of_a_server_may_be_short(given: str, meant: str) -> None:
    assert predict_address(given) == meant
