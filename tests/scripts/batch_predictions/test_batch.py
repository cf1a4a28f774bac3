"""A folder through a batch prediction by the real SDK: what is left, killed, refused or held."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image

from pipeline.run.claim import claimed
from pipeline.run.output_layout import BATCH
from pipeline.run.parameters import Pictures, RunError, RunParameters
from scripts.batch_predictions import batch, jobs
from scripts.batch_predictions.batch import BatchPrediction
from scripts.batch_predictions.submission import remembered
from scripts.cloud.deployment import Deployment
from scripts.releases.request import ReleaseRequest
from scripts.terminal.errors import OperatorError
from scripts.terminal.interruptions import INTERRUPTED
from serving.storage import StorageError, open_folder
from tests.stand_ins.outputs import platform_outputs
from tests.stand_ins.vertex import Vertex


class Command:
    """One command over a folder of images, as often as it is run."""

    def __init__(self, vertex: Vertex, folder: Path) -> None:
        self.vertex, self.folder = vertex, folder
        self.out = folder / "out"
        (folder / "in").mkdir()
        vertex.uploaded(versionAliases=["live"])
        self._deployment = Deployment(
            **{**platform_outputs("p1"), "pipeline_uri": "gs://p1-bucket/pipeline"}
        )
        self._model_id = vertex.ok("GET", "projects/p1/locations/us-west1/models")["models"][0][
            "name"
        ].rpartition("/")[2]

    def add(self, *names: str) -> None:
        for name in names:
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(self.folder / "in" / name)

    def run(
        self, machine: str = "n1-standard-4", pictures: Pictures | Literal[""] = ""
    ) -> dict[str, str]:
        """Reasons of the images that failed, by name."""
        BatchPrediction(
            request=ReleaseRequest(
                project_id="p1", region="us-west1", bucket_name="p1-bucket", endpoint_id="sam",
                model_id=self._model_id, image=self.vertex.image, checkpoint="gs://p1-bucket/model",
                machine=machine,
            ),
            deployment=self._deployment,
            parameters=RunParameters(
                inputs=(str(self.folder / "in"),), output=str(self.out), pictures=pictures
            ),
            batch_size=1,
            replicas=1,
        ).run()  # fmt: skip
        rows = map(json.loads, (self.out / "manifest.jsonl").read_text().splitlines())
        return {row["image"]: row["reason"] for row in rows if row["status"] == "failed"}

    def jobs(self) -> list[dict[str, Any]]:
        """This test's jobs, oldest first: their input lies below its own token."""
        jobs = self.vertex.world.read()["vertex"].get("jobs", {}).values()
        own = [job for job in jobs if job["model"].rpartition("/")[2].startswith(self._model_id)]
        return sorted(own, key=lambda job: str(job["createTime"]))  # the world sorts by their ids


@pytest.fixture
def command(vertex: Vertex, shell: None, tmp_path: Path) -> Iterator[Command]:
    command = Command(vertex, tmp_path)
    yield command
    for job in command.jobs():
        vertex.call("POST", f"{job['name']}:cancel", {})


def test_each_bad_image_is_one_failed_row_and_is_tried_again(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is no image, one is refused alone in its request, one is answered strangely."""
    command.add("good.png", "refused.png", "strange.png")
    (command.folder / "in" / "broken.png").write_bytes(b"no image")
    failed = command.run()
    assert set(failed) == {"broken.png", "refused.png", "strange.png"}
    assert "has no result" in failed["refused.png"]
    assert "not of our server's form" in failed["strange.png"]
    said = capsys.readouterr().err
    assert "failed requests: ('Post request fails." in said
    assert "https://console.cloud.google.com/" in said
    assert (command.out / "masks" / "good.png.json").exists()
    assert remembered(open_folder(str(command.out))) is None
    (token,) = {job["labels"]["submission"] for job in command.jobs()}
    assert [job["modelParameters"]["on_error"] for job in command.jobs()] == ["each"]
    assert command.vertex.objects.names("p1-bucket", f"pipeline/batch-{token}/images/") == []

    written = (command.out / "masks" / "good.png.json").stat().st_mtime_ns
    assert set(command.run()) == set(failed)
    assert written == (command.out / "masks" / "good.png.json").stat().st_mtime_ns
    assert len(command.jobs()) == 2


def interrupt_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send this process SIGINT when it has looked at the job for the first time."""

    def interrupted() -> float:
        os.kill(os.getpid(), signal.SIGINT)
        return 60.0

    monkeypatch.setattr(jobs, "poll_seconds", interrupted)


def test_interrupted_wait_says_what_goes_on_and_finds_it_again(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.add("slow.png")
    interrupt_wait(monkeypatch)
    with pytest.raises(OperatorError, match="which goes on and bills") as caught:
        command.run()
    monkeypatch.setattr(jobs, "poll_seconds", lambda: 0.5)
    assert caught.value.exit_code == INTERRUPTED
    assert "the same command again finds it" in caught.value.hint
    assert "console.cloud.google.com" in caught.value.hint
    assert command.run() == {}
    assert len(command.jobs()) == 1


def test_what_was_uploaded_before_a_kill_is_not_uploaded_again(command: Command) -> None:
    """Vertex AI refuses the machine, so nothing is submitted."""
    command.add("a.png", "b.png")
    with pytest.raises(OperatorError, match="does not support"):
        command.run(machine="e2-standard-4")
    output = open_folder(str(command.out))
    submission = remembered(output)
    assert submission is not None
    folder = open_folder(f"gs://p1-bucket/pipeline/batch-{submission.token}")
    sent = folder.stat("images/a.png")
    assert sent is not None

    # As a kill in the middle of the upload would have left it.
    dataclasses.replace(submission, unreadable=None).remember(output)
    folder.delete("images/b.png")
    with pytest.raises(OperatorError, match="does not support"):
        command.run(machine="e2-standard-4")
    assert folder.stat("images/a.png") == sent
    assert folder.exists("images/b.png")
    assert remembered(output) == submission
    assert command.run() == {}
    assert [job["labels"]["submission"] for job in command.jobs()] == [submission.token]


def test_command_that_ends_while_it_collects_goes_on_with_the_same_job(command: Command) -> None:
    """What it has not written yet is paid for all the same."""
    command.add("a.png", "b.png")
    obstacle = command.out / "masks" / "b.png.json"
    obstacle.mkdir(parents=True)
    with pytest.raises(StorageError):
        command.run()
    assert (command.out / "masks" / "a.png.json").is_file()
    obstacle.rmdir()
    assert command.run() == {}
    assert len(command.jobs()) == 1
    assert obstacle.is_file()


def test_other_pictures_are_drawn_from_the_masks_that_are_there(command: Command) -> None:
    """And nobody pays for another job."""
    command.add("good.png", "refused.png")
    assert set(command.run()) == {"refused.png"}
    overlays, masks = command.out / "overlays", command.out / "masks" / "good.png.json"
    before = json.loads(masks.read_text())["masks"]
    assert [path.name for path in overlays.iterdir()] == ["good.png.png"]
    (command.folder / "in" / "refused.png").unlink()
    assert command.run(pictures="overlays") == {}
    assert [path.name for path in overlays.iterdir()] == ["good.png.webp"]
    assert not list((command.out / "segments").rglob("[0-9]*.png"))
    assert json.loads(masks.read_text())["masks"] == before
    assert len(command.jobs()) == 1


def test_masks_that_somebody_reviewed_are_not_predicted_again(command: Command) -> None:
    command.add("good.png")
    assert command.run() == {}
    masks = command.out / "masks" / "good.png.json"
    content = json.loads(masks.read_text())
    content |= {"fingerprint": "e" * 32, "masks_fingerprint": ""}  # as annotating leaves them
    content["masks"][0]["verdict"] = "accept"
    masks.write_text(json.dumps(content, separators=(",", ":")))
    row = {"image": "good.png", "mask": 0, "verdict": "accept"}
    (command.out / "reviewed.jsonl").write_text(json.dumps(row) + "\n")
    assert command.run() == {}
    assert json.loads(masks.read_text()) == content
    assert len(command.jobs()) == 1


def test_second_command_over_the_output_is_refused(command: Command) -> None:
    command.add("a.png")
    with (
        claimed(open_folder(str(command.out)), "somebody"),
        pytest.raises(RunError, match="another run is writing here"),
    ):
        command.run()
    assert command.jobs() == []


def test_command_that_ends_after_the_last_masks_leaves_nothing_awaited(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to compute, but a run would refuse the output for as long as it waits."""
    command.add("a.png")

    def killed(_output: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batch, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            command.run()
    output = open_folder(str(command.out))
    submission = remembered(output)
    assert submission is not None
    copies = open_folder(f"gs://p1-bucket/pipeline/batch-{submission.token}/images")
    copies.write_bytes("a.png", b"copy", "image/png")
    assert command.run() == {}
    assert len(command.jobs()) == 1
    assert remembered(output) is None
    assert list(copies.files()) == []


def test_job_for_other_images_is_collected_or_ended_first(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It bills: whoever forgets it pays for a second one beside it."""
    command.add("held.png")
    interrupt_wait(monkeypatch)
    with pytest.raises(OperatorError, match="which goes on"):
        command.run()
    monkeypatch.setattr(jobs, "poll_seconds", lambda: 0.5)
    (first,) = command.jobs()
    awaited = remembered(open_folder(str(command.out)))
    (command.folder / "in" / "held.png").unlink()
    command.add("a.png")
    with pytest.raises(OperatorError, match="goes on and bills") as caught:
        command.run()
    assert first["name"] in str(caught.value)
    assert "console.cloud.google.com" in caught.value.hint
    assert remembered(open_folder(str(command.out))) == awaited
    assert len(command.jobs()) == 1

    command.vertex.call("POST", f"{first['name']}:cancel", {})
    while command.vertex.ok("GET", first["name"])["state"] != "JOB_STATE_CANCELLED":
        time.sleep(0.1)
    assert command.run() == {}
    assert len(command.jobs()) == 2
    assert f"not collected: {first['name']}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[]", b"{}", b'{"identity": "1", "token": "../../x", "unreadable": null}'],
)
def test_submission_that_cannot_be_read_is_an_error_by_name(
    command: Command, content: bytes
) -> None:
    command.add("a.png")
    open_folder(str(command.out)).write_bytes(BATCH, content, "application/json")
    with pytest.raises(
        OperatorError, match=r"\.run/batch\.json: expected the submission"
    ) as caught:
        command.run()
    assert "end the job in the console" in caught.value.hint
    assert command.jobs() == []
