"""The step starts its process again; what kills a process costs one image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from pipeline.run.manifest import read_json
from pipeline.run.parameters import RunParameters
from pipeline.steps.plan_shards import plan_shards
from pipeline.steps.write_report import write_report
from scripts.checkout import ROOT
from serving.storage import open_folder
from tests.conftest import draw_scene

# In the worker's process only: whoever opens an image of that name, not its masks, dies,
# as if memory had ended.
KILLER = """
import os, signal, sys
def audit(event, arguments):
    if event != "open" or "/masks/" in str(arguments[0]):
        return
    if "killer" in str(arguments[0]):
        if "pipeline.shard.worker" in " ".join(sys.orig_argv):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(audit)
"""


def supervised(
    run: RunParameters, shard: str, hook: Path, killer: str, most_deaths: int
) -> subprocess.CompletedProcess[str]:
    """The real step in a process whose worker runs ``killer`` when it starts."""
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(killer)
    code = (
        "import sys; from pipeline.run.parameters import RunParameters\n"
        "from pipeline.steps import segment_shard as step\n"
        f"step.MOST_DEATHS = {most_deaths}\n"
        "run = RunParameters.from_json(sys.argv[1])\n"
        "print('ROWS', step.segment_shard(run, sys.argv[2]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, run.to_json(), shard],
        env={**os.environ, "PYTHONPATH": f"{hook}:{ROOT}"},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


def test_image_that_kills_its_process_is_set_aside_and_the_rest_is_done(
    local_run: RunParameters, image_folder: Path, tmp_path: Path
) -> None:
    """The real step in a real process; its neighbours are not blamed."""
    Image.fromarray(draw_scene(64, 64)).save(image_folder / "killer.png")
    Image.fromarray(draw_scene(64, 64)).save(image_folder / "z.png")
    (shard,) = plan_shards(local_run)
    done = supervised(local_run, shard, tmp_path / "hook", KILLER, 10)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.split("ROWS ")[1].strip()
    summary = write_report(local_run, [rows], "local")
    assert (summary.images, summary.failed, summary.computed) == (5, 1, 4)
    (failed,) = Path(local_run.output, "failed.jsonl").read_text().splitlines()
    assert json.loads(failed)["image"] == "killer.png"
    assert "SIGKILL" in failed and "memory" in failed
    assert done.stdout.count("masks in") <= 4 + 3  # one image a death may be computed twice
    run = read_json(open_folder(local_run.output), "metrics.json")["run"]
    assert run["restarts"] == 3


def test_process_that_dies_before_its_first_image_ends_the_step(
    local_run: RunParameters, tmp_path: Path
) -> None:
    (shard,) = plan_shards(local_run)
    killer = KILLER.replace('"killer"', '"vit_tiny"')
    done = supervised(local_run, shard, tmp_path / "hook", killer, 2)
    assert done.returncode == 1
    assert "ended by SIGKILL 2 times in a row, with no image in hand" in done.stderr
