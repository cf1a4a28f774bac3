"""The cloud path as the README says it, rehearsed: cdktf, Terraform, the provider's stand-in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.checkout import ROOT
from scripts.rehearsal import local_cloud as clouds
from scripts.rehearsal.remains import resource_count

CDKTF = ROOT / "node_modules" / ".bin" / "cdktf"
needs_cdktf = pytest.mark.skipif(
    not CDKTF.exists(), reason="cdktf is not installed here; make setup does where npm is"
)


def test_plain_terraform_needs_no_node(tmp_path: Path) -> None:
    """Synthesized documents, copied elsewhere: ``terraform init``, ``apply``, ``destroy``."""
    cloud = clouds.start(tmp_path / "cloud")
    try:
        environment = {**os.environ, **cloud.environment(), "SAM_PROJECT_ID": "my-project"}
        subprocess.run(
            [sys.executable, "-m", "infra.main"],
            cwd=tmp_path,
            env={**environment, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        copied = tmp_path / "elsewhere" / "sam-serving"
        copied.mkdir(parents=True)
        shutil.copy(tmp_path / "cdktf.out/stacks/sam-serving/cdk.tf.json", copied)

        def terraform(folder: Path, *words: str) -> None:
            subprocess.run(
                ["terraform", *words, "-no-color"],
                cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip

        platform = tmp_path / "cdktf.out/stacks/sam-platform"
        for folder in (platform, copied):
            terraform(folder, "init")
            terraform(folder, "apply", "-auto-approve")
        assert resource_count(cloud) == 63
        for folder in (copied, platform):
            terraform(folder, "destroy", "-auto-approve")
        assert resource_count(cloud) == 0
        assert not list(tmp_path.glob("*.tfstate"))  # a rehearsal's state stays in its folder
    finally:
        clouds.stop(cloud.home)
