"""Commands that would fail later are refused first, in the doctor's words."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.cloud.project_state import refuse_unready
from scripts.terminal.errors import CLOUD, OperatorError
from tests.stand_ins.answers import Answers, answering

BILLING = "/cloudbilling.googleapis.com/v1/projects/p/billingInfo"
SERVICES = "/serviceusage.googleapis.com/v1/projects/p/services"


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    with answering() as known:
        monkeypatch.setenv("SAM_REHEARSAL_APIS", known.address)
        known.set(BILLING, {"billingEnabled": True})
        on = [{"config": {"name": "aiplatform.googleapis.com"}}]
        known.set(SERVICES, {"services": on})
        yield known


def test_project_without_billing_or_an_api_is_refused_with_the_way_out(services: Answers) -> None:
    told: list[str] = []
    refuse_unready("p", ("aiplatform",), told.append)
    with pytest.raises(OperatorError, match="APIs: off: artifactregistry") as refused:
        refuse_unready("p", ("aiplatform", "artifactregistry"), told.append)
    assert "gcloud services enable artifactregistry.googleapis.com" in refused.value.hint
    services.set(BILLING, {})
    with pytest.raises(OperatorError, match="billing: off for p") as refused:
        refuse_unready("p", ("aiplatform",), told.append)
    assert "gcloud billing projects link p" in refused.value.hint
    assert refused.value.exit_code == CLOUD
    assert told == []


def test_what_may_not_be_asked_is_no_reason_to_refuse(services: Answers) -> None:
    denied = {"error": {"code": 403, "message": "Permission 'x.y.get' denied on resource"}}
    for path in (BILLING, SERVICES):
        services.set(path, denied, status=403)
    told: list[str] = []
    refuse_unready("p", ("aiplatform",), told.append)
    assert [line.partition(" of p could not be asked")[0] for line in told] == ["billing", "APIs"]
