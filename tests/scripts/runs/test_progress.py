"""A run's meter moves by what the steps write, and keeps still where nothing can be read."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.run import output_layout
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
