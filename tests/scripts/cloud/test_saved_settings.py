"""What a command makes becomes a setting that every shell, colleague and CI reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra.configuration import load
from infra.main import read_context
from scripts.checkout import ROOT
from scripts.cloud.saved_settings import save_setting

IMAGE = "us-west1-docker.pkg.dev/my-project/sam-images/sam@sha256:" + "0" * 64
CHECKPOINT = "gs://my-project-sam/sam-checkpoint/sam_vit_b_01ec64"


@pytest.fixture
def project_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("SAM_REHEARSAL_VERTEX", raising=False)
    path = tmp_path / "cdktf.json"
    document = json.loads((ROOT / "cdktf.json").read_text("utf-8"))
    document["context"] = {"region": "us-west1"}  # this checkout's may hold somebody's own
    path.write_text(json.dumps(document))
    return path


def save(project_file: Path, name: str, value: str, project_id: str = "my-project") -> str:
    return save_setting(project_file.parent / "outputs.json", project_id, name, value)


def test_a_shell_that_knows_nothing_synthesizes_what_was_saved(project_file: Path) -> None:
    before = json.loads(project_file.read_text())
    assert "saved" in save(project_file, "image", IMAGE)
    save(project_file, "checkpoint", CHECKPOINT)
    document = json.loads(project_file.read_text())
    settings = load(document.pop("context"), {})
    assert (settings.project_id, settings.image, settings.checkpoint) == (
        "my-project", IMAGE, CHECKPOINT,
    )  # fmt: skip
    before.pop("context")
    assert document == before


def test_rehearsal_saves_for_itself_alone(
    project_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next deployment finds it, by project; the real platform's file stays as it is."""
    (tmp_path / "rehearsal").mkdir()
    monkeypatch.setenv("SAM_REHEARSAL_VERTEX", "http://127.0.0.1:1")
    monkeypatch.setenv("SAM_REHEARSAL_WORLD", str(tmp_path / "rehearsal" / "world.json"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SAM_PROJECT_ID", "my-project")
    before = project_file.read_bytes()
    assert read_context() == {"region": "us-west1"}
    assert "of this rehearsal" in save(project_file, "image", IMAGE)
    save(project_file, "checkpoint", CHECKPOINT)
    assert project_file.read_bytes() == before
    assert read_context() == {"region": "us-west1", "image": IMAGE, "checkpoint": CHECKPOINT}
    monkeypatch.setenv("SAM_PROJECT_ID", "another")
    assert read_context() == {"region": "us-west1"}


def test_another_projects_file_and_a_rehearsal_without_a_folder_save_nothing(
    project_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(project_file, "image", IMAGE)
    saved = project_file.read_bytes()
    assert "export SAM_IMAGE=" in save(project_file, "image", "other", project_id="another")
    monkeypatch.setenv("SAM_REHEARSAL_VERTEX", "http://127.0.0.1:1")
    assert "export SAM_IMAGE=" in save(project_file, "image", "rehearsed")
    assert project_file.read_bytes() == saved
