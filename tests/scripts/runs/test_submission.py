"""What can be refused without Vertex AI is refused before its SDK is loaded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

OUTPUTS = {
    "project_id": "p1", "region": "us-west1", "bucket_name": "p1-sam",
    "checkpoint_uri": "gs://p1-sam/sam-checkpoint", "images_uri": "gs://p1-sam/images",
    "pipeline_uri": "gs://p1-sam/pipeline", "registry_uri": "us-west1-docker.pkg.dev/p1/sam",
    "service_accounts": {"pipeline": "sam@p1"}, "workbench_name": "", "workbench_zone": "",
    "workbench_proxy_uri": "", "startup_status_uri": "", "kms_key": "",
}  # fmt: skip
PROGRAM = """
import sys
from scripts.cli import app
try:
    app(sys.argv[1:])
except SystemExit as end:
    print("exit", end.code, "aiplatform" if "google.cloud.aiplatform" in sys.modules else "no SDK")
"""
IMAGES, RUN = "gs://p1-sam/images", "gs://p1-sam/pipeline/run"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        pytest.param(["gs://other/x", "--output", RUN], "INPUT gs://other/x", id="input"),
        pytest.param(["photos", "--output", RUN], "INPUT photos", id="local input"),
        pytest.param([IMAGES, "--output", "out"], "--output out", id="output"),
        pytest.param(
            [IMAGES, "--output", RUN, "--checkpoint", "gs://other/x.pth"],
            "--checkpoint gs://other/x.pth",
            id="checkpoint",
        ),
        pytest.param([IMAGES, "--output", RUN], "there is no image of the steps", id="no image"),
    ],
)
def test_run_that_cannot_work_is_refused_without_the_sdk(
    tmp_path: Path, arguments: list[str], problem: str
) -> None:
    (tmp_path / "outputs.json").write_text(json.dumps({"sam-platform": OUTPUTS}))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "run", *arguments, "--engine", "vertex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "exit 2 no SDK", done.stdout + done.stderr
    assert f"error: {problem}" in done.stderr and "hint: " in done.stderr
