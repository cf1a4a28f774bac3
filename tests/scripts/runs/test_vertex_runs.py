"""What a submitted run is called where others look for it: labels, and its page."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest

from scripts.checkout import PLATFORM
from scripts.cloud.deployment import Deployment
from scripts.rehearsal.vertex_ai.jobs.pipeline_checks import check_labels
from scripts.runs.vertex_runs import LABELS, console_link, labels_of
from tests.stand_ins.outputs import platform_outputs


def test_labels_of_any_user_are_what_google_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "Jörg.Müller@Example.com" + "x" * 80)
    labels = labels_of("sam-20261129-101500-3fa9c1")
    check_labels(labels)
    assert set(labels) == {"app", "run", "user", "version"}
    assert labels["run"] == "sam-20261129-101500-3fa9c1"
    assert labels["user"].startswith("j-rg-m-ller-example-com")
    assert LABELS.items() <= labels.items(), "'pipeline list' looks for these"


def test_console_link_names_project_region_and_run(tmp_path: Path) -> None:
    (tmp_path / "outputs.json").write_text(json.dumps({PLATFORM: platform_outputs("p1")}))
    link = console_link(Deployment.from_outputs(tmp_path / "outputs.json"), "sam-1")
    assert link == (
        "https://console.cloud.google.com/vertex-ai/locations/us-west1/pipelines/runs/sam-1"
        "?project=p1"
    )
