"""Builders that leave the image in Artifact Registry: Docker on this machine, or Cloud Build."""

from __future__ import annotations

import json
import shutil
import tempfile
from typing import Literal

from scripts.container.programs import output_of, run_aloud, succeeds
from scripts.terminal.errors import OperatorError

DOCKERFILE = "serving/Dockerfile"
Builder = Literal["docker", "cloud-build"]
BuilderChoice = Literal["auto", "docker", "cloud-build"]


def choose_builder(choice: BuilderChoice) -> Builder:
    """Docker where its engine answers, else Cloud Build where gcloud is installed.

    Raises:
        OperatorError: neither is there, or not the one that was asked for.
    """
    docker = choice != "cloud-build" and succeeds(
        "docker", "version", "--format", "{{.Server.Version}}"
    )
    if docker:
        return "docker"
    if choice != "docker" and shutil.which("gcloud") is not None:
        return "cloud-build"
    missing = {
        "docker": "no Docker engine answers",
        "cloud-build": "gcloud is not installed",
        "auto": "neither a Docker engine nor gcloud is here",
    }
    raise OperatorError(
        missing[choice], hint="install one of them; --via docker or --via cloud-build forces which"
    )


def push_with_docker(uri: str, revision: str, platform: str) -> str:
    """Build the image here and push it.

    Args:
        uri: the image with its tag.
        revision: git revision, kept in the image.
        platform: of the image, such as ``linux/amd64``.

    Returns:
        ``sha256:`` digest of what the registry holds.

    Raises:
        OperatorError: Docker failed.
    """
    run_aloud("docker", *_build_arguments(uri, revision, platform))
    run_aloud("docker", "push", uri)
    names = output_of("docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", uri)
    return names.decode().strip().rpartition("@")[2]


def push_with_cloud_build(
    uri: str, revision: str, platform: str, *, project_id: str, region: str
) -> str:
    """Send the build context to Cloud Build. Not rehearsed: there is no stand-in of it.

    Args:
        uri: the image with its tag.
        revision: git revision, kept in the image.
        platform: of the image, such as ``linux/amd64``.
        project_id: Google Cloud project that builds.
        region: where it builds.

    Returns:
        ``sha256:`` digest of what the registry holds.

    Raises:
        OperatorError: gcloud, or the build, failed.
    """
    step = {
        "name": "gcr.io/cloud-builders/docker",
        "args": _build_arguments(uri, revision, platform),
    }
    config = {"steps": [step], "images": [uri], "timeout": "3600s"}
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(config, file)
        file.flush()
        run_aloud(
            *("gcloud", "builds", "submit", "--project", project_id, "--region", region),
            *("--config", file.name, "--ignore-file", ".dockerignore", "."),
        )
    digest = output_of(
        *("gcloud", "artifacts", "docker", "images", "describe", uri, "--project", project_id),
        *("--format", "value(image_summary.digest)"),
    )
    return digest.decode().strip()


def _build_arguments(uri: str, revision: str, platform: str) -> list[str]:
    return [
        *("build", "--platform", platform, "--file", DOCKERFILE),
        *("--build-arg", f"REVISION={revision}", "--tag", uri, "."),
    ]
