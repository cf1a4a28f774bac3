"""Service agents are made by one call, which an operation follows."""

from __future__ import annotations

import pytest

from tests.command_line import sam_vertex
from tests.stand_ins.answers import answering

MADE = "/serviceusage.googleapis.com/v1beta1/projects/my-project/services/aiplatform.googleapis.com"
OPERATION = "/serviceusage.googleapis.com/v1beta1/operations/finished.1"
COMMAND = ("platform", "make-agent", "aiplatform.googleapis.com", "--project", "my-project")


def test_agent_is_made_and_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = {"done": True, "response": {"email": "service-1@gcp-sa-aiplatform", "uniqueId": "7"}}
    with answering() as services:
        monkeypatch.setenv("SAM_REHEARSAL_VERTEX", services.address)  # then no pause is long
        monkeypatch.setenv("SAM_REHEARSAL_APIS", services.address)
        monkeypatch.setenv("SAM_REHEARSAL_VERTEX", services.address)  # then no pause is long
        services.set(f"{MADE}:generateServiceIdentity", {"name": "operations/finished.1"})
        services.set(OPERATION, {"name": "operations/finished.1"}, agent)
        done = sam_vertex(*COMMAND)
        methods = [method for method, _ in services.asked]
    assert "service-1@gcp-sa-aiplatform" in done.stdout
    assert methods == ["POST", "GET", "GET"]


def test_refusal_is_told_in_googles_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering() as services:
        monkeypatch.setenv("SAM_REHEARSAL_APIS", services.address)
        monkeypatch.setenv("SAM_REHEARSAL_VERTEX", services.address)  # then no pause is long
        refused = {"done": True, "error": {"code": 9, "message": "the API is not enabled"}}
        services.set(f"{MADE}:generateServiceIdentity", refused)
        done = sam_vertex(*COMMAND)
    assert done.returncode == 1
    assert "the API is not enabled" in done.stderr


def test_local_cloud_without_the_api_has_no_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAM_REHEARSAL_APIS", raising=False)
    with answering() as local_cloud:
        monkeypatch.setenv("SAM_REHEARSAL_VERTEX", local_cloud.address)
        assert sam_vertex(*COMMAND).returncode == 0
