"""Builders that leave images in Artifact Registry: Docker on this machine, or Cloud Build."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Literal

from scripts.container.programs import output_of, run_aloud, succeeds
from scripts.terminal.errors import CLOUD, OperatorError
from scripts.terminal.progress import report_line

DOCKERFILE = "serving/Dockerfile"
# By default BuildKit pushes an index: the image beside a statement of how it was built. Whether
# Vertex AI takes one in is UNVERIFIED, so an image's digest is that of the image itself (Docker's
# page "Build variables"; builders before BuildKit ignore it).
PLAIN_IMAGE = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
PLATFORM = "linux/amd64"  # of every machine that Vertex AI has a T4 or an L4 for
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


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """An image that is to be built.

    Attributes:
        target: the stage of the Dockerfile.
        uri: the image with its tag.
        arguments: of the build, by name.
    """

    target: str
    uri: str
    arguments: Mapping[str, str]

    def build_arguments(self) -> list[str]:
        """What Docker's command line is told."""
        named = [f"{name}={value}" for name, value in self.arguments.items()]
        return [
            *("build", "--platform", PLATFORM, "--file", DOCKERFILE, "--target", self.target),
            *(part for text in named for part in ("--build-arg", text)),
            *("--tag", self.uri, "."),
        ]


def push_with_docker(images: Sequence[Wanted], *, token: str = "") -> None:
    """Build images here and push them.

    Args:
        images: the images.
        token: an access token that lets the engine push, so that nobody has to log it in; empty
            where the engine needs none.

    Raises:
        OperatorError: Docker failed.
    """
    for image in images:
        run_aloud("docker", *image.build_arguments(), variables=PLAIN_IMAGE)
    if token:  # after the builds, because it is valid for an hour; by standard input, where no
        # list of processes shows it. Artifact Registry's "Configure authentication to Artifact
        # Registry for Docker", access token.
        host = images[0].uri.partition("/")[0]
        login = ("docker", "login", "--username", "oauth2accesstoken", "--password-stdin")
        output_of(*login, f"https://{host}", stdin=token.encode())
    for image in images:
        try:
            run_aloud("docker", "push", image.uri)
        except OperatorError as error:
            if "immutable" not in str(error):
                raise
            raise OperatorError(
                f"another image has the tag of {image.uri} already",
                hint="commit your change, which makes another tag; the registry's tags cannot be "
                "moved",
                exit_code=CLOUD,
            ) from error


def push_with_cloud_build(
    images: Sequence[Wanted],
    *,
    project_id: str,
    region: str,
    service_account: str = "",
    bucket_name: str = "",
) -> None:
    """Send the build context to Cloud Build. Not rehearsed: there is no stand-in of it.

    Args:
        images: the images, built one after the other, which share their first layers.
        project_id: Google Cloud project that builds.
        region: where it builds; ``global`` where the project may not build there.
        service_account: who builds; empty for the project's default account.
        bucket_name: that account reads the context in its folder ``build/``; empty for gcloud's
            own bucket.

    Raises:
        OperatorError: gcloud, or the build, failed.
    """
    # gcloud would ask, and nobody can answer: its questions need a terminal on standard error.
    output_of("gcloud", "services", "enable", "cloudbuild.googleapis.com", "--project", project_id)
    where = ("--project", project_id, "--quiet")
    who: tuple[str, ...] = ()
    if service_account:
        who = ("--service-account", f"projects/{project_id}/serviceAccounts/{service_account}")
    if service_account and bucket_name:
        who = (*who, "--gcs-source-staging-dir", f"gs://{bucket_name}/build/source")
    try:
        _submit(images, (*where, "--region", region, *who), large=True)
    except OperatorError as error:
        # "Cloud Build locations": some projects may build in a few regions only.
        if "quota restrictions" not in str(error):
            raise
        report_line(f"this project may not build in {region}; building in 'global'")
        _submit(images, (*where, "--region", "global", *who), large=False)


def _submit(images: Sequence[Wanted], options: tuple[str, ...], *, large: bool) -> None:
    plain = [f"{name}={value}" for name, value in PLAIN_IMAGE.items()]
    steps = [
        {"name": "gcr.io/cloud-builders/docker", "args": image.build_arguments(), "env": plain}
        for image in images
    ]
    # An account of one's own must log there, and only gcloud's beta follows such a log (support_gcl
    # in googlecloudsdk/api_lib/cloudbuild/logs.py of gcloud 528).
    build_options = {"logging": "CLOUD_LOGGING_ONLY"}
    if large:
        build_options["machineType"] = "E2_HIGHCPU_8"
    names = [image.uri for image in images]
    config = {"steps": steps, "images": names, "timeout": "3600s", "options": build_options}
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(config, file)
        file.flush()
        run_aloud(
            *("gcloud", "beta", "builds", "submit", "--config", file.name, *options),
            *("--ignore-file", ".gcloudignore", "."),
        )
