"""Releases through the real SDK: repeatable, and what goes wrong leaves the old version serving."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripts.cloud.vertex_sdk import patiently
from scripts.releases import canary
from scripts.releases.release import Releases
from scripts.releases.request import ReleaseRequest
from scripts.releases.versions import version_table
from scripts.terminal.errors import OperatorError
from tests.stand_ins.vertex import ENDPOINT, PIPELINE, Vertex

Release = Callable[..., Releases]


@pytest.fixture
def release(vertex: Vertex, shell: None) -> Iterator[Release]:
    """Releases of a request with changes; two checkpoints lie in the bucket."""
    for name in ("a", "b"):
        vertex.objects.put("p1-bucket", f"sam-checkpoint/{name}/{name}.pth", name.encode())
    request = ReleaseRequest(
        project_id="p1", region="us-west1", bucket_name="p1-bucket", endpoint_id="sam",
        model_id="sam-model", image=vertex.image, checkpoint="gs://p1-bucket/sam-checkpoint/a",
        serving={"precision": "fp32"},
    )  # fmt: skip

    def make(**changes: Any) -> Releases:
        return Releases(dataclasses.replace(request, **changes), lambda _line: None)

    yield make
    make(image="", checkpoint="").teardown()  # as from a shell that knows neither


B = {"checkpoint": "gs://p1-bucket/sam-checkpoint/b"}
BROKEN = {**B, "serving": {"precision": "exit"}}


def serving(vertex: Vertex) -> list[tuple[str, int]]:
    """Version and share of everything that is deployed."""
    endpoint = vertex.ok("GET", ENDPOINT)
    return [
        (deployment["modelVersionId"], int(endpoint["trafficSplit"].get(deployment["id"], 0)))
        for deployment in endpoint["deployedModels"]
    ]


def test_release_roll_back_undeploy_wake(vertex: Vertex, release: Release) -> None:
    first = release().release()
    assert (first.version, first.changed) == ("1", True)
    assert release().release() == dataclasses.replace(first, changed=False)
    second = release(**B).release()
    assert second.version == "2"
    assert serving(vertex) == [("2", 100)]
    rows = {row["version"]: row for row in version_table(release())}
    assert set(rows["2"]["aliases"]) == {second.alias, "live", "default"}
    assert set(rows["1"]["aliases"]) == {first.alias, "previous"}
    assert rows["2"]["usd_an_hour"] == pytest.approx(0.639, abs=0.001)
    assert rows["1"]["usd_an_hour"] == 0
    assert rows["2"]["checkpoint"] == "b.pth"
    assert release().rollback().version == "1"
    assert serving(vertex) == [("1", 100)]
    assert release().rollback().version == "2"
    assert release().undeploy() == 1
    assert serving(vertex) == []
    woken = release(**B).release()
    assert woken.version == "2"
    assert serving(vertex) == [("2", 100)]


def test_what_was_undeployed_comes_back_when_somebody_asks(
    vertex: Vertex, release: Release
) -> None:
    first = release().release()
    release().undeploy()
    again = release().release()
    assert (again.version, again.changed) == (first.version, True)
    assert vertex.objects.names("p1-bucket", "serving/") == []  # a release leaves nothing there
    release().teardown()
    release().teardown()
    assert release().registry.versions() == []


@pytest.mark.parametrize(
    "changes",
    [
        {"machine": "n1-standard-8"},
        {"target_utilization": 75}, {"spot": True}, {"service_account": PIPELINE},
    ],
)  # fmt: skip
def test_other_machines_are_another_deployment_of_the_same_version(
    vertex: Vertex, release: Release, changes: dict[str, Any]
) -> None:
    first = release().release()
    moved = release(**changes).release()
    assert release(**changes).release() == dataclasses.replace(moved, changed=False)
    assert moved.version == first.version
    assert moved.deployed_model_id != first.deployed_model_id
    assert serving(vertex) == [("1", 100)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (BROKEN, "exited unexpectedly"),
        ({**B, "serving": {"precision": "mask"}}, "gave no mask"),
        ({"checkpoint": "gs://p1-bucket/sam-checkpoint/none"}, "found none"),
        ({"image": "us-west1-docker.pkg.dev/p1/images/sam@sha256:" + "0" * 64}, "not found"),
        ({"image": "us-west1-docker.pkg.dev/p1/images/sam:v1"}, "sha256"),
        ({**B, "machine": "e2-standard-4"}, "does not support"),
        ({"endpoint_id": "none"}, "does not exist"),
    ],
)
def test_a_release_that_fails_leaves_the_old_one_serving(
    vertex: Vertex, release: Release, changes: dict[str, Any], message: str
) -> None:
    release().release()
    with pytest.raises(OperatorError, match=message):
        release(**changes).release()
    assert serving(vertex) == [("1", 100)]
    uploaded = [version.version_id for version in release().registry.versions()]
    assert uploaded in (["1"], ["1", "2"]), "a version costs nothing and stays as evidence"


def test_a_first_release_that_fails_leaves_nothing(vertex: Vertex, release: Release) -> None:
    with pytest.raises(OperatorError, match="exited unexpectedly"):
        release(**BROKEN).release()
    assert serving(vertex) == []
    assert release().release().version == "2"


def test_one_accelerator_is_enough_in_place(vertex: Vertex, release: Release) -> None:
    with vertex.world.open() as world:
        world["quotas"] = {"CustomModelServingT4GPUsPerProjectPerRegion": 1}
    release().release()
    with pytest.raises(OperatorError, match="quota") as caught:
        release(**B).release()
    assert "--in-place" in caught.value.hint
    assert serving(vertex) == [("1", 100)]
    moved = release(**B).release(in_place=True)
    assert serving(vertex) == [(moved.version, 100)]
    with pytest.raises(OperatorError, match="exited unexpectedly"):
        release(checkpoint=B["checkpoint"], serving={"precision": "exit"}).release(in_place=True)
    assert serving(vertex) == [(moved.version, 100)]


def test_a_cloud_in_a_bad_mood_is_met_with_patience(
    vertex: Vertex, release: Release, fault: Callable[..., None]
) -> None:
    for kind, method in (("503", "GET"), ("429", "models"), ("drop", "GET"), ("503", "PATCH")):
        fault(kind=kind, method=method)
    assert release().release().version == "1"
    fault(kind="operation", method="DeployModel")
    with pytest.raises(OperatorError, match="injected"):
        release(**B).release()
    assert serving(vertex) == [("1", 100)]
    assert release(**B).release().changed


def test_there_is_nothing_to_go_back_to(release: Release) -> None:
    release().release()
    with pytest.raises(OperatorError, match="no previous version"):
        release().rollback()


def test_interrupted_deployment_leaves_nothing_that_bills(
    vertex: Vertex, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint lists a deployment only when its operation has ended, which goes on alone."""
    release().release()
    interrupted: list[float] = []

    def sleep(seconds: float) -> None:
        if not interrupted:
            interrupted.append(seconds)
            raise KeyboardInterrupt
        pause(seconds)

    pause = time.sleep
    monkeypatch.setattr(time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        release(**B).release()
    assert interrupted
    assert serving(vertex) == [("1", 100)]
    deployed = vertex.world.read()["vertex"]["deployments"][ENDPOINT]
    assert [deployment["version"] for deployment in deployed.values()] == ["1"]


def test_deployment_interrupted_before_google_has_answered_is_ended_too(
    vertex: Vertex, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answer, which alone names the operation, is on its way; whoever waits is told why."""
    release().release()
    sent: list[Any] = []
    told = threading.Event()

    def interrupted(call: Callable[[], Any]) -> Any:
        answer = patiently(call)
        if hasattr(answer, "operation") and not sent:
            sent.append(answer)
            os.kill(os.getpid(), signal.SIGINT)
            assert told.wait(60)
        return answer

    def report(line: str) -> None:
        if "waiting for Google's answer" in line:
            told.set()

    monkeypatch.setattr("scripts.releases.deploying.patiently", interrupted)
    releases = release(**B)
    releases.report = report
    with pytest.raises(KeyboardInterrupt):
        releases.release()
    assert sent
    while not sent[0].done():
        time.sleep(0.1)
    deployed = vertex.world.read()["vertex"]["deployments"][ENDPOINT]
    assert [deployment["version"] for deployment in deployed.values()] == ["1"]


def test_deployment_interrupted_while_its_thread_starts_is_ended_too(
    vertex: Vertex, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python raises in ``Thread.start`` too, which waits until the new thread runs."""
    release().release()
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "uninterrupted":
            time.sleep(0.2)
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        release(**B).release()
    deployed = vertex.world.read()["vertex"]["deployments"][ENDPOINT]
    assert [deployment["version"] for deployment in deployed.values()] == ["1"]


def test_deployment_whose_answer_was_lost_is_not_made_twice(
    vertex: Vertex, release: Release, fault: Callable[..., None]
) -> None:
    release().release()
    fault(kind="late", method="deployModel")
    assert release(**B).release().version == "2"
    assert serving(vertex) == [("2", 100)]
    deployed = vertex.world.read()["vertex"]["deployments"][ENDPOINT]
    assert [deployment["version"] for deployment in deployed.values()] == ["2"]


def test_failure_after_the_shift_takes_nothing_back(
    vertex: Vertex, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    release().release()
    releases = release(**B)
    monkeypatch.setattr(releases.registry, "mark_live", lambda _version: 1 / 0)
    with pytest.raises(OperatorError, match="version 2 serves, but tidying up") as caught:
        releases.release()
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert serving(vertex) == [("2", 100)]
    assert release(**B).release().version == "2"


@pytest.mark.parametrize(
    ("kind", "dedicated"), [("429", True), ("503", True), ("drop", True), ("503", False)]
)
def test_refused_check_predictions_are_asked_again(
    vertex: Vertex, release: Release, fault: Callable[..., None], kind: str, dedicated: bool
) -> None:
    """A dedicated endpoint's refusals are a ValueError of the SDK, whatever their status."""
    with vertex.world.open() as world:
        endpoint = world["resources"]["google_vertex_ai_endpoint"][ENDPOINT]
        endpoint["dedicated_endpoint_enabled"] = dedicated
    try:
        fault(kind=kind, method=":predict", times=3)
        assert release().release().version == "1"
    finally:
        with vertex.world.open() as world:
            endpoint = world["resources"]["google_vertex_ai_endpoint"][ENDPOINT]
            endpoint["dedicated_endpoint_enabled"] = True


READS = {"read_prefixes": "gs://p1-bucket/images,gs://p1-bucket/pipeline"}


def test_the_check_asks_for_an_image_of_the_bucket_and_removes_it(
    vertex: Vertex, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version whose account may not read there does not get the traffic."""
    report = dataclasses.replace(release().request, serving=READS)
    Releases(report).release()
    answers = "the new version answers: a point, automatic masks, an image of the bucket"
    assert answers in capsys.readouterr().err
    with pytest.raises(OperatorError, match="cannot be read"):
        release(serving={**READS, "precision": "blind"}).release()
    assert serving(vertex) == [("1", 100)]
    assert vertex.objects.names("p1-bucket", "pipeline/release-check") == []


def test_whoever_may_not_write_there_releases_without_that_question(
    vertex: Vertex, release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = {"read_prefixes": "gs://another-bucket/pipeline"}
    Releases(dataclasses.replace(release().request, serving=elsewhere)).release()
    assert "the check leaves out images of the bucket" in capsys.readouterr().err
    assert serving(vertex) == [("1", 100)]


def test_refusals_for_too_long_fail_the_release(
    vertex: Vertex, release: Release, fault: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    release().release()
    monkeypatch.setattr(canary, "PATIENCE_SECONDS", 0.0)
    fault(kind="503", method=":predict", times=1000)
    with pytest.raises(OperatorError, match="the check prediction failed"):
        release(**B).release()
    assert serving(vertex) == [("1", 100)]


def test_roll_back_with_one_accelerator(vertex: Vertex, release: Release) -> None:
    release().release()
    release(**B).release()
    with vertex.world.open() as world:
        world["quotas"] = {"CustomModelServingT4GPUsPerProjectPerRegion": 1}
    with pytest.raises(OperatorError, match="quota"):
        release().rollback()
    assert release().rollback(in_place=True).version == "1"
    assert serving(vertex) == [("1", 100)]


def test_upload_that_outlasts_the_sdks_patience_is_found(
    vertex: Vertex, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = release()
    upload, calls = releases.sdk.Model.upload, []

    def impatient(**arguments: Any) -> None:
        calls.append(upload(**arguments))
        raise TimeoutError("Operation did not complete within the designated timeout of 900 s")

    monkeypatch.setattr(releases.sdk.Model, "upload", impatient)
    assert releases.release().version == "1"
    assert len(calls) == 1
