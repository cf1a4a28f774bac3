"""``sam-vertex image``: build the container image and push it to Artifact Registry."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from scripts.checkout import ROOT
from scripts.cloud import deployment
from scripts.commands import options
from scripts.terminal.errors import CLOUD, OperatorError, reporting_errors

DOCKERFILE = Path("serving/Dockerfile")
NAME = "sam"
RECORD = Path("image.json")
Via = Literal["auto", "docker", "cloud-build"]
app = typer.Typer(
    no_args_is_help=True,
    help="The container image of serving and pipeline.",
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    """The container image of serving and pipeline."""


def _run(*command: str) -> str:
    """Run a command in the project, its output on stderr; return what it printed.

    Raises:
        OperatorError: it failed.
    """
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise OperatorError(
            f"{' '.join(command[:3])} failed: {done.stdout.strip()[-500:]}",
            hint="its whole output: run the same command by hand",
            exit_code=CLOUD,
        )
    return done.stdout


def _works(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    return done.returncode == 0


def revision() -> tuple[str, bool]:
    """The git revision, 12 digits, and whether the working tree differs from it."""
    head = _run("git", "rev-parse", "--short=12", "HEAD").strip()
    return head, bool(_run("git", "status", "--porcelain").strip())


def choose_builder(via: Via) -> Literal["docker", "cloud-build"]:
    """Docker where its engine answers, else Cloud Build where gcloud is installed.

    Raises:
        OperatorError: neither is there, or not the one that was asked for.
    """
    docker = via != "cloud-build" and _works("docker", "version", "--format", "{{.Server.Version}}")
    if docker:
        return "docker"
    if via != "docker" and shutil.which("gcloud") is not None:
        return "cloud-build"
    missing = {
        "docker": "no Docker engine answers",
        "cloud-build": "gcloud is not installed",
        "auto": "neither a Docker engine nor gcloud is here",
    }
    raise OperatorError(
        missing[via], hint="install one of them; --via docker or --via cloud-build forces which"
    )


def _build_with_docker(uri: str, head: str, platform: str) -> str:
    _run(
        *("docker", "build", "--platform", platform, "--file", str(DOCKERFILE)),
        *("--build-arg", f"REVISION={head}", "--tag", uri, "."),
    )
    _run("docker", "push", uri)
    inspected = _run("docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", uri)
    return inspected.strip().rpartition("@")[2]


def _build_with_cloud_build(uri: str, head: str, platform: str, project: str, region: str) -> str:
    """Send the context to Cloud Build. Not rehearsed: there is no stand-in of it."""
    step = {
        "name": "gcr.io/cloud-builders/docker",
        "args": [
            *("build", "--platform", platform, "--file", str(DOCKERFILE)),
            *("--build-arg", f"REVISION={head}", "--tag", uri, "."),
        ],
    }
    config = {"steps": [step], "images": [uri], "timeout": "3600s"}
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(config, file)
        file.flush()
        _run(
            *("gcloud", "builds", "submit", "--project", project, "--region", region),
            *("--config", file.name, "--ignore-file", ".dockerignore", "."),
        )
    described = _run(
        *("gcloud", "artifacts", "docker", "images", "describe", uri, "--project", project),
        *("--format", "value(image_summary.digest)"),
    )
    return described.strip()


@app.command(epilog="Example: sam-vertex image build --via docker")
def build(
    via: Annotated[
        Via, typer.Option(help="What builds: docker, cloud-build, or what is here.")
    ] = "auto",
    platform: Annotated[str, typer.Option(help="Platform of the image.")] = "linux/amd64",
    outputs: options.Outputs = deployment.DEFAULT_PATH,
    as_json: options.AsJson = False,
    debug: options.Debug = False,
) -> None:
    """Build the image, push it, and print its digest, by which everything refers to it.

    The tag is the git revision; a working tree that differs from it is said so in the tag.
    """
    with reporting_errors(debug):
        found = deployment.Deployment.from_outputs(outputs)
        builder = choose_builder(via)
        head, dirty = revision()
        if dirty:
            typer.echo(
                f"warning: the working tree differs from {head}; the image is not that revision",
                err=True,
            )
        tag = f"{head}-dirty-{_tree_digest()}" if dirty else head
        uri = f"{found.registry_uri}/{NAME}:{tag}"
        typer.echo(f"building {uri} with {builder}", err=True)
        if builder == "docker":
            digest = _build_with_docker(uri, head, platform)
        else:
            digest = _build_with_cloud_build(uri, head, platform, found.project_id, found.region)
        image = f"{found.registry_uri}/{NAME}@{digest}"
        record = {"image": image, "tag": tag, "revision": head, "dirty": dirty, "builder": builder}
        (outputs.parent / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")
        if as_json:
            typer.echo(json.dumps(record))
        else:
            typer.echo(f"{image}\nuse it:  export SAM_IMAGE={image}")


def _tree_digest() -> str:
    """Eight digits of how the working tree differs; in the tag, because tags cannot be moved."""
    import hashlib

    changes = _run("git", "diff", "HEAD") + _run("git", "status", "--porcelain")
    return hashlib.sha256(changes.encode()).hexdigest()[:8]
