"""A run's meter moves by what the steps write, and keeps still where nothing can be read."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.run import output_layout
from pipeline.run.manifest import ManifestRow
from pipeline.run.progress import ProgressReader, RunProgress, ShardProgress
from scripts.runs.progress import RunMeter
from serving.storage import open_folder


class RecordingMeter:
    """Keeps what it is told to show."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, float | None, str]] = []

    def update(self, done: float, total: float | None, note: str = "") -> None:
        self.shown.append((done, total, note))


def test_run_meter_shows_what_changed_and_waits_for_what_is_not_there(tmp_path: Path) -> None:
    output, meter = open_folder(str(tmp_path)), RecordingMeter()
    run_meter = RunMeter(output, meter, usd_an_hour=1.0)
    run_meter.show("planning")
    assert meter.shown == [], "nothing is planned yet"
    output.write_bytes(output_layout.PLANNED, json.dumps({"todo": 10}).encode(), "application/json")
    for number, done in ((0, 3), (1, 2)):
        name = output_layout.shard_progress_name(output_layout.shard_name(number))
        content = {"done": done, "failed": number, "masks": 7}
        output.write_short_text(name, json.dumps(content))
    run_meter.show("segmenting", usd_spent=0.25)
    run_meter.show("segmenting", usd_spent=0.25)
    ((done_images, total, note),) = meter.shown
    assert (done_images, total) == (6, 10)
    assert note == "segmenting, 14 masks, $0.25 so far, 1 failed"
    name = output_layout.shard_progress_name(output_layout.shard_name(0))
    output.write_short_text(name, "half")
    run_meter.show("reporting")
    assert len(meter.shown) == 1, "what cannot be read now is read the next time"


def test_run_meter_moves_within_an_image_and_never_back(tmp_path: Path) -> None:
    output, meter = open_folder(str(tmp_path)), RecordingMeter()
    output.write_bytes(output_layout.PLANNED, json.dumps({"todo": 2}).encode(), "application/json")
    name = output_layout.shard_progress_name(output_layout.shard_name(0))
    run_meter = RunMeter(output, meter)
    for done, part in ((0, 0.25), (0, 1.0), (0, 0.125), (1, 0.5), (2, 0.0)):
        content = {"done": done, "failed": 0, "masks": 7, "part": part}
        output.write_short_text(name, json.dumps(content))
        run_meter.show()
    assert [done for done, _, _ in meter.shown] == [0.25, 1.0, 1.5, 2.0]


def test_a_shard_notes_how_far_its_image_is_until_that_is_done(tmp_path: Path) -> None:
    output = open_folder(str(tmp_path))
    output.write_bytes(output_layout.PLANNED, json.dumps({"todo": 1}).encode(), "application/json")
    shard = ShardProgress(output, output_layout.shard_name(0))
    shard.within(0.25)
    assert ProgressReader(output).read() == RunProgress(total=1, part=0.25)
    shard.add(ManifestRow(image="a.png", status="done", masks=3))
    shard.write()
    assert ProgressReader(output).read() == RunProgress(total=1, done=1, masks=3)


def test_progress_that_cannot_be_written_ends_no_image(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where the output's folder should be")
    ShardProgress(open_folder(str(tmp_path / "file")), "shard-0000").within(0.5)
