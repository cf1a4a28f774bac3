"""Every refusal of Google's has its own error line and its own way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from typer.testing import CliRunner

from scripts.cli import app
from scripts.cloud.google_errors import explain_google_error
from scripts.releases.errors import release_error
from scripts.terminal.errors import OperatorError, as_operator_error
from serving.storage import BucketError
from tests.stand_ins.outputs import platform_outputs

# Texts as Google's libraries and public reports quote them.
QUOTA_PROJECT = (
    "Your application is authenticating by using local Application Default Credentials. The "
    "aiplatform.googleapis.com API requires a quota project, which is not set by default."
)
DISABLED = (
    "Vertex AI API has not been used in project my-project before or it is disabled. Enable it by "
    "visiting https://console.developers.google.com/apis/api/aiplatform.googleapis.com/overview"
)
DENIED = (
    "Permission 'aiplatform.endpoints.predict' denied on resource "
    "'//aiplatform.googleapis.com/projects/p/locations/l/endpoints/e' (or it may not exist)."
)
ACT_AS = "You do not have permission to act as service_account: a@p. (iam.serviceAccounts.actAs)"
GPUS = (
    "The following quota metrics exceed quota limits: "
    "aiplatform.googleapis.com/custom_model_serving_nvidia_t4_gpus"
)
TRAINING = "The following quotas are exceeded: CustomModelTrainingT4GPUsPerProjectPerRegion"


def disabled_by_reason() -> Exception:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "SERVICE_DISABLED",
        "domain": "googleapis.com",
        "metadata": {"service": "notebooks.googleapis.com", "consumer": "projects/42"},
    }
    response = requests.Response()
    response.status_code = 403
    response._content = json.dumps(
        {"error": {"code": 403, "message": "no", "status": "PERMISSION_DENIED", "details": [info]}}
    ).encode()
    response.request = requests.Request("GET", "https://x").prepare()
    error: Exception = exceptions.from_http_response(response)
    return error


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (
            DefaultCredentialsError("Your default credentials were not found. To set up..."),
            "no Google Cloud credentials on this machine: there are none",
            "gcloud auth application-default login",
        ),
        (
            RefreshError("invalid_grant: Token has been expired or revoked."),
            "any more: invalid_grant: Token has been expired or revoked.",
            "gcloud auth application-default login",
        ),
        (exceptions.Unauthenticated("bad token"), "does not accept the credentials", "login"),
        (exceptions.Forbidden(QUOTA_PROJECT), "no quota project", "set-quota-project PROJECT"),
        (
            exceptions.Forbidden("Caller may not use project p: serviceusage.services.use"),
            "may not use the quota project", "serviceUsageConsumer",
        ),
        (
            exceptions.Forbidden("This API method requires billing to be enabled."),
            "billing is off", "billing projects link",
        ),
        (
            exceptions.Forbidden(DISABLED),
            "aiplatform.googleapis.com is not enabled in project my-project",
            "gcloud services enable aiplatform.googleapis.com",
        ),
        (
            disabled_by_reason(),
            "notebooks.googleapis.com is not enabled in project 42", "wait a few minutes",
        ),
        (
            exceptions.PermissionDenied(DENIED),
            "permission aiplatform.endpoints.predict is missing", "ask an owner",
        ),
        (
            exceptions.Forbidden("a@b does not have storage.objects.get access to the object."),
            "permission storage.objects.get is missing", "ask an owner",
        ),
        (exceptions.Forbidden(ACT_AS), "may not act as", "roles/iam.serviceAccountUser"),
        (
            exceptions.ResourceExhausted(GPUS),
            "aiplatform.googleapis.com/custom_model_serving_nvidia_t4_gpus is used up",
            "sam-vertex doctor",
        ),
        (
            exceptions.BadRequest(TRAINING),
            "CustomModelTrainingT4GPUsPerProjectPerRegion is used up", "sam-vertex doctor",
        ),
        (
            exceptions.FailedPrecondition("Service agents are being provisioned. Try again."),
            "still making this project's service agents", "few minutes",
        ),
        (exceptions.ServiceUnavailable("failed to connect"), "does not answer", "connection"),
        (TransportError("no route"), "does not answer", "connection"),
        (requests.exceptions.ReadTimeout("slow"), "does not answer", "connection"),
    ],
)  # fmt: skip
def test_refusal_has_its_own_words(error: Exception, message: str, hint: str) -> None:
    explained = as_operator_error(error)
    assert message in str(explained)
    assert hint in explained.hint
    assert explained.exit_code == 1


def test_cause_below_an_error_of_ours_is_explained() -> None:
    error = BucketError("gs://b/x: refused", 403)
    error.__cause__ = exceptions.Forbidden(QUOTA_PROJECT)
    assert "quota project" in str(as_operator_error(error))
    released = release_error("the model cannot be uploaded", exceptions.Forbidden(ACT_AS))
    assert str(released).startswith("the model cannot be uploaded: you may not act as")
    assert "serviceAccountUser" in released.hint


@pytest.mark.parametrize(
    "error",
    [
        exceptions.NotFound("x"),
        exceptions.BadRequest("wrong field"),
        exceptions.TooManyRequests("busy"),
        RefreshError("busy", retryable=True),
        ValueError("not of Google"),
        OperatorError("explained", hint="already"),
    ],
)
def test_what_needs_no_operator_stays_as_it_is(error: Exception) -> None:
    assert explain_google_error(error) is None


def test_command_without_credentials_says_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's own start looks for none, and the error came later, as an unexpected one."""
    from scripts.cloud.credentials import find_credentials

    find_credentials.cache_clear()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    release = {
        "project_id": "p", "region": "us-west1", "bucket_name": "b", "endpoint_id": "e",
        "model_id": "m", "image": "", "checkpoint": "",
    }  # fmt: skip
    outputs = {"sam-platform": platform_outputs("p"), "sam-serving": {"release": release}}
    (tmp_path / "outputs.json").write_text(json.dumps(outputs))
    done = CliRunner().invoke(app, ["model", "list", "--outputs", str(tmp_path / "outputs.json")])
    assert done.exit_code == 1, done.output
    assert "error: no Google Cloud credentials on this machine" in done.output
    assert "hint: gcloud auth application-default login" in done.output


def test_user_without_a_quota_project_pays_with_the_deployed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scripts.cloud.credentials import find_credentials

    user = {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "r"}
    key = tmp_path / "adc.json"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    for own, expected in ((None, "deployed"), ("mine", "mine")):
        find_credentials.cache_clear()
        key.write_text(json.dumps({**user, "quota_project_id": own} if own else user))
        assert find_credentials("deployed").quota_project_id == expected
    find_credentials.cache_clear()


def test_every_call_of_the_sdks_clients_has_a_timeout() -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform_v1

    from scripts.cloud.vertex_sdk import CALL_SECONDS, limit_calls

    limit_calls()
    limit_calls()
    for client in (aiplatform_v1.EndpointServiceClient, aiplatform_v1.ModelServiceClient):
        methods = client(credentials=AnonymousCredentials()).transport._wrapped_methods
        assert {method._timeout for method in methods.values()} == {CALL_SECONDS}
