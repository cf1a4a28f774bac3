"""What builds an image is what is installed, and what it sends is what the image needs."""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from scripts.checkout import ROOT
from scripts.container.registry import (
    DOCKERFILE,
    Wanted,
    choose_builder,
    push_with_cloud_build,
    push_with_docker,
)
from scripts.rehearsal.container_engine.image_tree import ignore_rules, is_ignored
from scripts.terminal.errors import OperatorError
from tests.scripts.container.conftest import Install

URI = "us-west1-docker.pkg.dev/p/r/sam:abc"
STEPS_URI = "us-west1-docker.pkg.dev/p/r/sam-steps:abc-root"
IMAGES = (
    Wanted("serving", URI, {"REVISION": "abc"}),
    Wanted("pipeline", STEPS_URI, {"REVISION": "abc", "STEPS_USER": "0"}),
)


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


def test_docker_builds_logs_in_and_pushes(
    tmp_path: Path, install: Install, capfd: pytest.CaptureFixture[str]
) -> None:
    log, secret = tmp_path / "log", tmp_path / "secret"
    script = f"""echo "$*" >> {log}
echo "$BUILDX_NO_DEFAULT_ATTESTATIONS" >> {log}.plain
[ "$1" = login ] && cat > {secret}; echo "$1"
"""
    install("docker", script)
    push_with_docker(IMAGES, token="ya29.token")
    assert secret.read_text() == "ya29.token"  # and no argument shows it
    assert log.read_text().splitlines() == [
        "build --platform linux/amd64 --file serving/Dockerfile --target serving "
        f"--build-arg REVISION=abc --tag {URI} .",
        "build --platform linux/amd64 --file serving/Dockerfile --target pipeline "
        f"--build-arg REVISION=abc --build-arg STEPS_USER=0 --tag {STEPS_URI} .",
        "login --username oauth2accesstoken --password-stdin https://us-west1-docker.pkg.dev",
        f"push {URI}",
        f"push {STEPS_URI}",
    ]
    assert (tmp_path / "log.plain").read_text().split() == ["1", "1"]  # both builds
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "build\nbuild\npush\npush\n")


def test_tag_of_another_image_says_what_to_do(install: Install) -> None:
    install("docker", 'if [ "$1" = push ]; then echo "cannot update tag: immutable"; exit 1; fi')
    with pytest.raises(OperatorError, match="has the tag") as caught:
        push_with_docker(IMAGES)
    assert "commit your change" in caught.value.hint


GCLOUD = """echo "$*" >> {log}
while [ $# -gt 0 ]; do [ "$1" = --config ] && cp "$2" {config}; [ "$1" = --region ] && region=$2; shift; done
case "$region" in us-west1) echo "FAILED_PRECONDITION: due to quota restrictions"; exit 1;; esac
"""  # noqa: E501


def test_cloud_build_needs_nobody_and_nothing_here(tmp_path: Path, install: Install) -> None:
    """The configuration is read by a stand-in of gcloud, as Cloud Build itself is not here."""
    config, log = tmp_path / "config.json", tmp_path / "log"
    install("gcloud", GCLOUD.format(log=log, config=config))
    push_with_cloud_build(
        IMAGES, project_id="p", region="us-west1",
        service_account="sam-build@p.iam.gserviceaccount.com", bucket_name="b",
    )  # fmt: skip
    enabled, first, second = log.read_text().splitlines()
    assert enabled == "services enable cloudbuild.googleapis.com --project p"
    for submitted, region in ((first, "us-west1"), (second, "global")):
        assert f"--project p --quiet --region {region} " in submitted
        assert "--service-account projects/p/serviceAccounts/sam-build@p.iam" in submitted
        assert "--gcs-source-staging-dir gs://b/build/source" in submitted
        assert submitted.endswith(" --ignore-file .gcloudignore .")
    content = json.loads(config.read_text())
    assert content["images"] == [URI, STEPS_URI]
    assert content["options"] == {"logging": "CLOUD_LOGGING_ONLY"}
    for step, uri in zip(content["steps"], (URI, STEPS_URI), strict=True):
        assert step["args"][:3] == ["build", "--platform", "linux/amd64"]
        assert step["env"] == ["BUILDX_NO_DEFAULT_ATTESTATIONS=1"]
        assert step["args"][-3:] == ["--tag", uri, "."]


def uploaded(path: str, rules: list[str]) -> bool:
    """Whether gcloud uploads a file: the last rule that matches decides, at every folder above it.

    As googlecloudsdk/command_lib/util/gcloudignore.py, FileChooser.IsIncluded, of gcloud 528.
    """
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        ignored = False
        for rule in rules:
            pattern = rule.lstrip("!")
            if pattern.endswith("/") and end == len(parts):
                continue  # a file is no folder
            pattern = pattern.rstrip("/")
            name = "/".join(parts[:end]) if "/" in pattern else parts[end - 1]
            pattern = pattern.lstrip("/")
            depth = name.count("/") == pattern.count("/")
            if depth and fnmatch.fnmatchcase(name, pattern):
                ignored = not rule.startswith("!")
        if ignored:
            return False
    return True


def test_cloud_build_gets_what_the_dockerfile_copies_and_the_dockerfile() -> None:
    """Docker sends the Dockerfile whatever .dockerignore says; gcloud does not."""
    lines = (ROOT / ".gcloudignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    sent = {path for path in tracked if uploaded(path, rules)}
    docker = ignore_rules(ROOT)
    needed = {
        path
        for path in tracked
        if path.startswith(("serving/", "pipeline/"))
        and not is_ignored(PurePosixPath(path), docker)
    }
    assert needed <= sent
    assert {DOCKERFILE, ".dockerignore"} <= sent
    assert {path.partition("/")[0] for path in sent} == {"serving", "pipeline", ".dockerignore"}
    assert not uploaded("serving/__pycache__/a.cpython-311.pyc", rules)


@pytest.mark.skipif(shutil.which("gcloud") is None, reason="no gcloud on this machine")
@pytest.mark.slow
def test_gcloud_itself_agrees(tmp_path: Path) -> None:
    lines = (ROOT / ".gcloudignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
    for path in tracked:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    shutil.copy(ROOT / ".gcloudignore", tmp_path)
    listed = subprocess.check_output(
        ["gcloud", "meta", "list-files-for-upload", str(tmp_path)],
        env={**os.environ, "CLOUDSDK_CONFIG": str(tmp_path / "config")}, text=True,
    )  # fmt: skip
    assert set(listed.split()) == {path for path in tracked if uploaded(path, rules)}
