"""What a moment may mend is tried again; what it cannot is raised at once, as it was."""

from __future__ import annotations

import pytest
import requests
import urllib3
from google.api_core import exceptions
from google.auth.exceptions import RefreshError, TransportError

from scripts.cloud import vertex_sdk
from scripts.cloud.vertex_sdk import is_transient, patiently, poll_seconds


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vertex_sdk, "FIRST_PAUSE_SECONDS", 0.01)


def refresh_without_connection() -> Exception:
    """What credentials raise when their server cannot be reached."""
    error = RefreshError("unreachable")
    error.__cause__ = TransportError("no route")
    return error


TRANSIENT = [
    exceptions.TooManyRequests("429"),
    exceptions.ResourceExhausted("Quota exceeded for requests per minute per region"),
    exceptions.InternalServerError("500"),
    exceptions.BadGateway("502"),
    exceptions.ServiceUnavailable("503"),
    exceptions.GatewayTimeout("504"),
    exceptions.DeadlineExceeded("gRPC's 504"),
    requests.exceptions.ConnectionError("dropped"),
    requests.exceptions.ReadTimeout("slow"),
    requests.exceptions.ConnectTimeout("slow"),
    requests.exceptions.ChunkedEncodingError("half a reply"),
    urllib3.exceptions.ProtocolError("half a reply"),
    urllib3.exceptions.ReadTimeoutError(None, "/", "slow"),  # type: ignore[arg-type]
    TransportError("no route"),
    RefreshError("busy", retryable=True),
    refresh_without_connection(),
    ConnectionResetError("dropped"),
    TimeoutError("slow"),
]
FINAL = [
    exceptions.BadRequest("400"),
    exceptions.Forbidden("403"),
    exceptions.NotFound("404"),
    exceptions.Conflict("409"),
    exceptions.ResourceExhausted("The following quota metrics exceed quota limits: gpus"),
    RefreshError("invalid_grant"),
    ValueError("not of the network"),
]


def name_of(error: Exception) -> str:
    return f"{type(error).__name__} {error}"


@pytest.mark.parametrize("error", TRANSIENT, ids=name_of)
def test_call_that_fails_for_a_moment_is_made_again(error: Exception) -> None:
    errors = [error]

    def call() -> str:
        if errors:
            raise errors.pop()
        return "answer"

    assert patiently(call) == "answer"


@pytest.mark.parametrize("error", FINAL, ids=name_of)
def test_call_that_fails_for_good_is_made_once(error: Exception) -> None:
    calls = []

    def call() -> None:
        calls.append(1)
        raise error

    assert not is_transient(error)
    with pytest.raises(type(error)) as caught:
        patiently(call)
    assert caught.value is error and len(calls) == 1


def test_call_that_never_succeeds_raises_its_own_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers look for the service's error, not for the policy's."""
    monkeypatch.setattr(vertex_sdk, "RETRY_SECONDS", 0.2)
    error = exceptions.ServiceUnavailable("for ever")

    def call() -> None:
        raise error

    with pytest.raises(exceptions.ServiceUnavailable) as caught:
        patiently(call)
    assert caught.value is error


def test_rehearsed_job_is_looked_at_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(vertex_sdk.REHEARSAL, raising=False)
    patience = poll_seconds()
    monkeypatch.setenv(vertex_sdk.REHEARSAL, "http://127.0.0.1:1")
    assert poll_seconds() < 1 < patience


@pytest.mark.parametrize("kind", [exceptions.BadRequest, exceptions.FailedPrecondition])
def test_agents_in_the_making_are_waited_for_by_rest_and_by_grpc(
    kind: type[exceptions.GoogleAPICallError],
) -> None:
    assert is_transient(kind("Vertex AI Service Agents are being provisioned (https://...)"))
    assert not is_transient(kind("Path gs://b/model contains no objects."))
