"""The app ends before it writes anything if a setting is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.configuration import is_setting, load
from infra.main import read_context, summary
from scripts.checkout import ROOT


def test_wrong_setting_ends_the_app_before_it_writes(tmp_path: Path) -> None:
    """``error:`` and ``hint:`` on standard error, exit 2, nothing synthesized."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.main"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SAM_ZONE": "us-west1-c",
             "CDKTF_CONTEXT_JSON": json.dumps({"project_id": "my-project"})},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split(":")[0] for line in lines] == ["error", "hint"]
    assert "SAM_ZONE" in lines[0]
    assert "us-west1-a" in lines[1]
    assert list(tmp_path.iterdir()) == []


def test_check_reads_the_context_of_the_project_file(tmp_path: Path) -> None:
    (tmp_path / "cdktf.json").write_text('{"context": {"project_id": "from-file"}}')
    done = subprocess.run(
        [sys.executable, "-m", "infra.main", "--check"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (
        0,
        "settings are in order: project from-file, zone us-west1-b\n",
    )


def test_state_of_all_platforms_is_refused_with_the_command_that_moves_it(tmp_path: Path) -> None:
    (tmp_path / "terraform.sam-serving.tfstate").touch()
    done = subprocess.run(
        [sys.executable, "-m", "infra.main"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SAM_PROJECT_ID": "my-project"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    move = "mv terraform.sam-serving.tfstate terraform.my-project.sam.sam-serving.tfstate"
    assert move in done.stderr


def test_synthesis_says_what_it_is_about(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Which project, whose state, and what this shell adds; a rehearsal serves nothing real."""
    for name in [name for name in os.environ if is_setting(name)]:
        monkeypatch.delenv(name)
    context = {"project_id": "from-file", "state_bucket": "company-state", "image": "real"}
    monkeypatch.setenv("CDKTF_CONTEXT_JSON", json.dumps(context))
    monkeypatch.setenv("SAM_PREFIX", "two")
    monkeypatch.setenv("SAM_REHEARSAL_WORLD", str(tmp_path))
    text = summary(load(read_context(), os.environ))
    assert text == (
        "synthesizing project from-file, prefix two, region us-west1, no image; "
        "state gs://company-state/from-file/two/; from the environment: SAM_PREFIX"
    )
