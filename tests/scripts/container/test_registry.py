"""What builds an image is what is installed, and the digest is the registry's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from scripts.container.registry import choose_builder, push_with_cloud_build, push_with_docker
from scripts.terminal.errors import OperatorError
from tests.scripts.container.conftest import Install

URI = "us-west1-docker.pkg.dev/p/r/sam:abc"
DIGEST = "sha256:" + "a" * 64


def test_builder_is_what_is_installed(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(shutil, "which", lambda name: (tmp_path / "bin" / name).exists() or None)
    with pytest.raises(OperatorError, match="neither"):
        choose_builder("auto")
    install("gcloud", "exit 0")
    assert choose_builder("auto") == "cloud-build"
    install("docker", "exit 1")  # installed, but no engine answers
    assert choose_builder("auto") == "cloud-build"
    with pytest.raises(OperatorError, match="no Docker engine"):
        choose_builder("docker")
    install("docker", "exit 0")
    assert choose_builder("auto") == "docker"
    assert choose_builder("cloud-build") == "cloud-build"


def test_docker_builds_pushes_and_names_the_digest(
    tmp_path: Path, install: Install, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    install(
        "docker",
        f'echo "$*" >> {log}; [ "$1" = image ] && echo r/sam@{DIGEST} || echo "$1"',
    )
    assert push_with_docker(URI, "abc", "linux/amd64") == DIGEST
    assert log.read_text().splitlines() == [
        "build --platform linux/amd64 --file serving/Dockerfile --build-arg REVISION=abc "
        f"--tag {URI} .",
        f"push {URI}",
        f"image inspect --format {{{{index .RepoDigests 0}}}} {URI}",
    ]
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "build\npush\n")


def test_cloud_build_gets_the_same_build_and_its_own_ignore_file(
    tmp_path: Path, install: Install
) -> None:
    """The configuration is read by a stand-in of gcloud, as Cloud Build itself is not here."""
    config, log = tmp_path / "config.json", tmp_path / "log"
    install(
        "gcloud",
        f'echo "$*" >> {log}; if [ "$1" = builds ]; then cp "$8" {config}; else echo {DIGEST}; fi',
    )
    digest = push_with_cloud_build(URI, "abc", "linux/amd64", project_id="p", region="us-west1")
    assert digest == DIGEST
    submitted, described = log.read_text().splitlines()
    assert submitted.startswith("builds submit --project p --region us-west1 --config ")
    assert submitted.endswith(" --ignore-file .dockerignore .")
    assert described.startswith(f"artifacts docker images describe {URI} --project p")
    content = json.loads(config.read_text())
    assert content["images"] == [URI]
    (step,) = content["steps"]
    assert step["args"][:3] == ["build", "--platform", "linux/amd64"]
    assert step["args"][-3:] == ["--tag", URI, "."]
