"""The run of the graph on this machine, its steps as processes."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.local_engine import StepError, run_locally
from pipeline.run.claim import Claim, read_claim
from pipeline.run.output_layout import HTML, LOCK, MANIFEST, PLANNED
from pipeline.run.parameters import RunParameters
from serving.storage import open_folder


def test_run_that_loses_its_claim_ends_before_it_reports(
    bucket: Callable[[str], str], image_folder: Path
) -> None:
    """As after a laptop's sleep, while another run has taken over the bucket's output."""
    image = str(image_folder / "a.png")
    run = RunParameters(inputs=(image,), output=bucket("runs/1"), points_per_side=4)
    output = open_folder(run.output)

    def take_over() -> None:
        while not output.exists(PLANNED):
            time.sleep(0.05)
        claim = Claim("other", 600)
        output.write_bytes(LOCK, claim.to_json(), "application/json")

    other = threading.Thread(target=take_over)
    other.start()
    with pytest.raises(StepError, match=r"taken over here \(other\)") as caught:
        run_locally(run, io.StringIO())
    other.join()
    assert "run again" in caught.value.hint
    assert not output.exists(MANIFEST)
    assert not output.exists(HTML)
    claim = read_claim(output)
    assert claim is not None and claim.run == "other"
