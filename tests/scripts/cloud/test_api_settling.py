"""APIs that were enabled a moment ago are waited for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.cloud import api_settling
from scripts.cloud.api_settling import wait_for_apis
from scripts.cloud.google_errors import ApiDisabledError
from tests.stand_ins.answers import Answers, answering

COMPUTE = "/compute.googleapis.com/compute/v1/projects/p/regions/us-west1"
IAM = "/iam.googleapis.com/v1/projects/p/serviceAccounts"
OFF = {
    "error": {
        "code": 403,
        "message": "compute.googleapis.com has not been used in project 1 before or it is off.",
        "details": [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}
        ],
    }
}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    with answering() as known:
        monkeypatch.setenv("SAM_REHEARSAL_APIS", known.address)
        yield known


def test_every_api_is_asked_until_it_answers_and_the_others_are_not(answers: Answers) -> None:
    """Whatever it answers: a refusal for another reason is an answer."""
    answers.set_all(COMPUTE, (403, OFF), (403, OFF), (200, {}))
    pauses: list[float] = []
    asked = wait_for_apis(["compute", "iam", "sts"], "p", "us-west1", sleep=pauses.append)
    assert asked == ["compute", "iam"]
    assert [path.partition("?")[0] for _, path in answers.asked] == [COMPUTE] * 3 + [IAM]
    assert len(pauses) == 2


def test_budgets_are_asked_for_by_their_billing_account(answers: Answers) -> None:
    path = "/billingbudgets.googleapis.com/v1/billingAccounts/A-1/budgets"
    answers.set_all(path, (403, OFF), (200, {}))
    asked = wait_for_apis(["billingbudgets"], "p", "us-west1", "A-1", sleep=lambda _: None)
    assert asked == ["billingbudgets"]
    assert [path for _, path in answers.asked] == [f"{path}?pageSize=1"] * 2


def test_api_that_stays_off_is_told(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_settling, "PATIENCE_SECONDS", -1.0)
    answers.set(COMPUTE, OFF, status=403)
    with pytest.raises(ApiDisabledError, match="is not enabled") as told:
        wait_for_apis(["compute"], "p", "us-west1")
    assert "gcloud services enable" in told.value.hint
