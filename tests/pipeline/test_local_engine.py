"""The run of the graph on this machine, its steps as processes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.graph_process import RESERVE
from pipeline.local_engine import StepError, run_locally
from pipeline.run.claim import Claim, read_claim
from pipeline.run.output_layout import HTML, LOCK, MANIFEST, PLANNED
from pipeline.run.parameters import RunParameters
from pipeline.run.step_process import ERROR_VARIABLE, environment_of_a_step
from serving.storage import open_folder


def test_full_disk_of_the_runners_own_files_is_named(tmp_path: Path, image_folder: Path) -> None:
    """It was told as a step whose process was killed."""
    small, error_file = tmp_path / "small", tmp_path / "error.json"
    small.mkdir()
    run = RunParameters(inputs=(str(image_folder),), output=str(tmp_path / "out"))
    order = tmp_path / "order.json"
    order.write_text(json.dumps({"parameters": run.to_json(), "scratch": str(small)}))
    script = (
        f"mount -t tmpfs -o size=128k tmpfs {small} || exit 77\n"
        f"head -c 65536 /dev/zero > {small}/{RESERVE}; cat /dev/zero > {small}/full 2> /dev/null\n"
        f"TMPDIR={small} {sys.executable} -m pipeline.graph_process < {order}\n"
        f"code=$?; cp {small}/error.json {error_file}; exit $code"
    )
    environment = {
        **environment_of_a_step(),
        ERROR_VARIABLE: str(small / "error.json"),
    }
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("this machine lets nobody mount a file system")
    assert done.returncode == 1, done.stderr
    detail = json.loads(error_file.read_text())
    assert "No space left on device" in detail["message"]
    assert "make room" in detail["hint"]


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
