"""The doctor asks the project itself, and each fault comes with the line that mends it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from scripts.cloud.quotas import quota_value
from scripts.prerequisites.cloud_checks import APIS, QUOTAS, cloud_findings
from scripts.prerequisites.findings import Finding
from tests.stand_ins.answers import Answers, answering

PROJECT = "my-project"
ENDPOINT = f"projects/{PROJECT}/locations/us-west1/endpoints/sam-endpoint"
POLICY = f"/cloudresourcemanager.googleapis.com/v1/projects/{PROJECT}:getIamPolicy"


def set_quota(services: Answers, index: int, value: int, region: str = "us-west1") -> None:
    quota = QUOTAS[index]
    entry: dict[str, Any] = {"details": {"value": str(value)}}
    if quota.regional:
        entry["dimensions"] = {"region": region}
    path = f"/v1/projects/{PROJECT}/locations/global/services/{quota.service}/quotaInfos/"
    answer = {"dimensionsInfos": [entry]}
    services.set(f"/cloudquotas.googleapis.com{path}{quota.quota_id}", answer)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """A project in which all is in order."""
    with answering() as known:
        monkeypatch.setenv("SAM_REHEARSAL_APIS", known.address)
        known.set(
            f"/cloudresourcemanager.googleapis.com/v3/projects/{PROJECT}", {"state": "ACTIVE"}
        )
        known.set(
            f"/cloudbilling.googleapis.com/v1/projects/{PROJECT}/billingInfo",
            {"billingEnabled": True},
        )
        enabled = [{"name": f"projects/42/services/{name}.googleapis.com"} for name in APIS]
        known.set(
            f"/serviceusage.googleapis.com/v1/projects/{PROJECT}/services", {"services": enabled}
        )
        agent = "serviceAccount:service-42@gcp-sa-aiplatform.iam.gserviceaccount.com"
        known.set(POLICY, {"bindings": [{"role": "r", "members": [agent]}]})
        known.set(f"/us-west1-aiplatform.googleapis.com/v1/{ENDPOINT}", {"deployedModels": [{}]})
        for index in range(len(QUOTAS)):
            set_quota(known, index, 1)
        known.set(
            f"/notebooks.googleapis.com/v2/projects/{PROJECT}/locations/us-west1-b/instances/w",
            {"state": "ACTIVE"},
        )
        yield known


def found() -> dict[str, Finding]:
    listed = cloud_findings(PROJECT, "us-west1", ("w", "us-west1-b"), ENDPOINT)
    return {finding.check: finding for finding in listed}


def test_project_in_order(services: Answers) -> None:
    findings = found()
    assert {finding.status for finding in findings.values()} == {"ok"}
    assert {
        *("project", "billing", "APIs", "agents", "workbench", "model"),
        *(quota.title for quota in QUOTAS),
    } == set(findings)


def test_quota_that_is_too_small_names_current_needed_and_the_line(services: Answers) -> None:
    set_quota(services, 1, 0)
    set_quota(services, 3, 0)
    findings = found()
    training = findings["quota training"]
    assert training.status == "wrong"
    assert training.message.startswith("0 of 1 needed")
    assert (
        f"gcloud beta quotas preferences create --project={PROJECT} "
        "--service=aiplatform.googleapis.com "
        "--quota-id=CustomModelTrainingT4GPUsPerProjectPerRegion --preferred-value=1 "
        "--dimensions=region=us-west1"
    ) == training.hint
    assert "--dimensions" not in findings["quota all regions"].hint


def test_every_other_fault_has_its_own_words(services: Answers) -> None:
    services.set(f"/cloudbilling.googleapis.com/v1/projects/{PROJECT}/billingInfo", {})
    services.set(f"/serviceusage.googleapis.com/v1/projects/{PROJECT}/services", {})
    denied = {"error": {"code": 403, "message": "Permission 'resourcemanager.projects.get' denied"}}
    services.set(f"/cloudresourcemanager.googleapis.com/v3/projects/{PROJECT}", denied, status=403)
    services.set(POLICY, {"bindings": []})
    services.set(f"/us-west1-aiplatform.googleapis.com/v1/{ENDPOINT}", {})
    findings = found()
    assert findings["billing"].status == "wrong"
    assert "billing projects link" in findings["billing"].hint
    assert "aiplatform.googleapis.com" in findings["APIs"].hint
    assert findings["agents"].hint.startswith("'cdktf deploy' makes it")
    assert (findings["model"].status, findings["model"].hint) == (
        "waiting", "sam-vertex model release",
    )  # fmt: skip
    assert "permission resourcemanager.projects.get is missing" in findings["project"].message


def test_what_somebody_may_not_see_is_skipped(services: Answers) -> None:
    """The Workbench's account runs and releases, and does not set up projects."""
    denied = {"error": {"code": 403, "message": "Permission 'resourcemanager.x.y' denied"}}
    services.set(POLICY, denied, status=403)
    finding = found()["agents"]
    assert (finding.status, finding.bad) == ("skipped", False)
    assert "you may not look: permission resourcemanager.x.y is missing" in finding.message


def test_nothing_is_asked_of_a_local_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM_REHEARSAL_VERTEX", "http://127.0.0.1:1")
    (finding,) = cloud_findings(PROJECT, "us-west1", ("", ""))
    assert finding.status == "skipped"
    (finding,) = cloud_findings("", "us-west1", ("", ""))
    assert finding.status == "skipped"


def test_the_most_specific_quota_counts() -> None:
    entries = [
        {"dimensions": {"region": "us-east1"}, "details": {"value": "8"}},
        {"dimensions": {"region": "us-west1"}, "details": {"value": "2"}},
        {"applicableLocations": ["us-west1"], "details": {"value": "1"}},
    ]
    assert quota_value({"dimensionsInfos": entries}, "us-west1") == 2
    assert quota_value({"dimensionsInfos": entries[2:]}, "us-west1") == 1
    assert quota_value({}, "us-west1") is None
