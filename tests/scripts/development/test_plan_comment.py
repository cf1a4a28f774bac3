"""The plan for review: rehearsed against another checkout, it shows what differs and no more."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from scripts.checkout import ROOT
from scripts.development import plan_comment
from scripts.terminal.errors import OperatorError


def test_rehearsed_plan_shows_what_a_change_changes(tmp_path: Path) -> None:
    """A base that kept 3 images instead of 10 is updated in place, and nothing else."""
    base = tmp_path / "base"
    shutil.copytree(ROOT / "infra", base / "infra")
    settings = base / "infra" / "settings.py"
    changed = re.sub(r"(keep_images: int = Field\(\s*)10", r"\g<1>3", settings.read_text())
    assert changed != settings.read_text()
    settings.write_text(changed)
    text = plan_comment.plan_as_markdown(base, rehearse=True)
    assert "- `sam-platform`: Plan: 0 to add, 1 to change, 0 to destroy." in text
    assert "- `sam-serving`: No changes." in text
    assert re.search(r"[+~] keep_count +=.* 10$", text, re.MULTILINE), text
    assert len(text) < 65_536


def test_plan_that_is_too_long_for_a_comment_is_cut() -> None:
    long = "Terraform used ...\n" + "x" * 100_000 + "\nPlan: 1 to add, 0 to change, 0 to destroy."
    text = plan_comment.markdown({"sam-platform": long, "sam-serving": long}, "rehearsed")
    assert len(text) < 65_536
    assert text.count("[cut: see the log]") == 2
    assert text.count("Plan: 1 to add") == 2


def test_wrong_settings_end_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM_ZONE", "us-west1-c")
    with pytest.raises(OperatorError, match="SAM_ZONE"):
        plan_comment.plan_as_markdown(None, rehearse=True)


def test_workflow_pins_actions_and_gives_no_more_than_it_needs() -> None:
    """Actions by hash; nothing granted by default; credentials never kept in the checkout."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text("utf-8"))
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["timeout-minutes"] <= 40
        for step in job["steps"]:
            if "uses" in step:
                assert len(step["uses"].partition("@")[2]) == 40, step["uses"]
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
            # What a pull request's author can word reaches a shell by a variable or not at all.
            assert "${{" not in step.get("run", ""), step
