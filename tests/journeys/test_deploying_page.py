"""docs/deploying.md is followed from top to bottom, in a rehearsal of a project made today."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from scripts.checkout import ROOT
from scripts.rehearsal import local_cloud
from scripts.rehearsal.remains import remains
from tests.conftest import draw_scene
from tests.contracts import pages
from tests.journeys.test_rehearse import needs_cdktf

PAGE = ROOT / "docs" / "deploying.md"
# What somebody answers who is asked. cdktf reads the first as its option of that name.
ANSWERS = {"CDKTF_AUTO_APPROVE": "true", "TF_CLI_ARGS_apply": "-auto-approve"}


def fresh_clone(folder: Path) -> None:
    """A checkout in which ``make setup`` has been, with photographs of its owner."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    environment = folder / ".venv"
    environment.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix) / name)
    (environment / ".complete").touch()
    (folder / "photos").mkdir()
    for name, number in (("a.jpg", 0), ("b.png", 1)):
        Image.fromarray(draw_scene(160 + 8 * number, 120)).save(folder / "photos" / name)
    Image.fromarray(draw_scene(400, 300)).save(folder / "photo.jpg")
    (folder / "prompts.json").write_text(json.dumps({"a.jpg": {"1": [[40, 48]]}}))


@needs_cdktf
@pytest.mark.slow  # three minutes: the journey of test_rehearse.py takes the same steps
@pytest.mark.timeout(1800)
def test_page_can_be_followed(tmp_path: Path) -> None:
    clone, home = tmp_path / "clone", tmp_path / "cloud"
    clone.mkdir()
    home.mkdir()
    fresh_clone(clone)
    blocks = pages.blocks(PAGE.read_text("utf-8"))
    followed = [block.code for block in blocks if block.kind == "rehearsed"]
    assert len(followed) >= 8
    cloud = local_cloud.start(home, new_project=True)
    try:
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", "\n".join(followed)],
            cwd=clone, env={**os.environ, **cloud.environment(), **ANSWERS},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        told = done.stdout + done.stderr
        assert done.returncode == 0, told[-6000:]
        assert '"predictions"' in done.stdout  # curl's
        assert json.loads((clone / "out" / "metrics.json").read_text())["images"] == 2
        assert remains(cloud) == []
        assert json.loads((clone / "cdktf.json").read_text()) == json.loads(
            (ROOT / "cdktf.json").read_text()
        ), "a rehearsal saves nothing there"
    finally:
        local_cloud.stop(home)
