"""A release that no quota has room for is refused before it uploads anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from scripts.releases.quota import check_serving_quota
from scripts.terminal.errors import OperatorError
from tests.scripts.releases.test_request import REQUEST
from tests.stand_ins.answers import Answers, answering

QUOTA = "CustomModelServingT4GPUsPerProjectPerRegion"
PATH = (
    "/cloudquotas.googleapis.com/v1/projects/p/locations/global/services/"
    f"aiplatform.googleapis.com/quotaInfos/{QUOTA}"
)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    with answering() as known:
        monkeypatch.setenv("SAM_REHEARSAL_APIS", known.address)
        known.set(PATH, {"dimensionsInfos": [{"details": {"value": "1"}}]})
        yield known


def test_more_replicas_than_the_quota_are_refused_with_the_line_that_asks(
    services: Answers,
) -> None:
    two = dataclasses.replace(REQUEST, min_replicas=2)
    with pytest.raises(OperatorError, match=r"needs 2 .* the project has 1") as refused:
        check_serving_quota(two, print)
    assert f"--quota-id={QUOTA} --preferred-value=2" in refused.value.hint


def test_what_fits_needs_none_or_cannot_be_read_is_no_reason_to_refuse(
    services: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    check_serving_quota(REQUEST, print)
    check_serving_quota(dataclasses.replace(REQUEST, accelerator="", min_replicas=9), print)
    assert capsys.readouterr().out == ""
    services.set(PATH, {"error": {"code": 403, "message": "denied"}}, status=403)
    check_serving_quota(dataclasses.replace(REQUEST, min_replicas=9), print)
    assert "was not read" in capsys.readouterr().out
