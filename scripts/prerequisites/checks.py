"""The checks of ``sam-vertex doctor``: this machine; tools, settings, credentials, the project."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.checkout import ROOT
from scripts.cloud.deployment import Deployment
from scripts.cloud.saved_settings import saved_settings
from scripts.prerequisites.cloud_checks import QUOTAS, WITHOUT_WORKBENCH, cloud_findings
from scripts.prerequisites.findings import Finding
from scripts.prerequisites.local_checks import local_findings

ADC = ".config/gcloud/application_default_credentials.json"
TIMEOUT_S = 30


def _version(command: list[str]) -> str | None:
    """The first version number that a program prints of itself; ``None`` where it does not run."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            env={**os.environ, "CHECKPOINT_DISABLE": "1"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\d+\.\d+(\.\d+)?", done.stdout)
    return match[0] if match else None


def _tool(name: str, command: list[str], least: tuple[int, ...], hint: str) -> Finding:
    version = _version(command)
    expected = ".".join(map(str, least))
    if version is None:
        return Finding(name, "missing", f"{command[0]} does not run", hint)
    if tuple(map(int, version.split("."))) < least:
        return Finding(name, "wrong", f"{version}; expected {expected} or newer", hint)
    return Finding(name, "ok", version)


def check_terraform() -> Finding:
    """Terraform on the PATH."""
    hint = "https://developer.hashicorp.com/terraform/install"
    return _tool("terraform", ["terraform", "version"], (1, 5), hint)


def check_node() -> Finding:
    """Node on the PATH."""
    return _tool("node", ["node", "--version"], (20,), "https://nodejs.org/en/download")


def check_cdktf() -> Finding:
    """The command line that deploys, as ``make setup`` installs it."""
    program = ROOT / "node_modules" / ".bin" / "cdktf"
    if not program.exists():
        return Finding("cdktf", "missing", f"{program} is not there", "make setup")
    package = ROOT / "node_modules" / "cdktf-cli" / "package.json"
    return Finding("cdktf", "ok", str(json.loads(package.read_text("utf-8"))["version"]))


def check_settings() -> Finding:
    """The settings of the stacks, as the app that declares them judges them."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "infra.main", "--check"],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        problem = f"infra.main has not answered for {TIMEOUT_S} s"
        return Finding("settings", "wrong", problem, "python -m infra.main --check")
    if done.returncode == 0:
        return Finding("settings", "ok", done.stdout.strip())
    lines = dict(line.split(": ", 1) for line in done.stderr.splitlines() if ": " in line)
    problem = lines.get("error", done.stderr.strip() or "infra.main does not run")
    return Finding("settings", "wrong", problem, lines.get("hint", "make setup"))


def check_credentials() -> Finding:
    """Credentials for Google Cloud; whether they are valid only Google can say."""
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return Finding("credentials", "skipped", "none needed: this shell uses the local cloud")
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    path = Path(named) if named else Path.home() / ADC
    if path.exists():
        return Finding("credentials", "ok", f"found {path}")
    return Finding(
        "credentials", "missing", f"{path} is not there", "gcloud auth application-default login"
    )


def check_gcloud() -> Finding:
    """The account of gcloud itself, which the application default login does not bring."""
    name, login = "gcloud account", "gcloud auth login"
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return Finding(name, "skipped", "none needed: this shell uses the local cloud")
    needed = "needed where Cloud Build builds the image, and for curl"
    if shutil.which("gcloud") is None:
        return Finding(name, "skipped", f"gcloud is not installed; {needed}")
    command = ["gcloud", "auth", "list", "--filter=status:ACTIVE", "--format=value(account)"]
    try:
        done = subprocess.run(  # noqa: S603
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return Finding(name, "waiting", f"gcloud does not answer; {needed}", login)
    account = done.stdout.strip()
    if account:
        return Finding(name, "ok", account)
    return Finding(name, "waiting", f"nobody is logged in; {needed}", login)


def check_startup(outputs: Path) -> Finding:
    """What the Workbench's start-up script last reported."""
    from serving.storage import StorageError, open_folder

    name = "workbench start-up"
    if not outputs.exists():
        return Finding(name, "skipped", f"nothing is deployed: there is no {outputs}")
    deployment = Deployment.from_outputs(outputs)
    if not deployment.startup_status_uri:
        return Finding(name, "skipped", "the platform has no Workbench (SAM_WORKBENCH=false)")
    folder, _, object_name = deployment.startup_status_uri.rpartition("/")
    try:
        status_folder = open_folder(folder)
        if not status_folder.exists(object_name):
            return Finding(
                name,
                "waiting",
                f"no report yet at {deployment.startup_status_uri}",
                "it reports a minute after its first start; see the instance's serial port log",
            )
        report = json.loads(status_folder.read_bytes(object_name))
    except StorageError as error:
        return Finding(name, "wrong", str(error), "check the bucket's name and your access to it")
    text = f"{report['status']} at {report['reported']}, {report['step']}: {report['message']}"
    if report["status"] == "ready":
        return Finding(name, "ok", text)
    if report["status"] == "running":
        return Finding(name, "waiting", text, "look again in a few minutes")
    hint = (
        f"fix it, then: gcloud workbench instances reset {deployment.workbench_name} "
        f"--location={deployment.workbench_zone}"
    )
    return Finding(name, "wrong", text, hint)


def findings(outputs: Path) -> Iterator[Finding]:
    """Run every check, in the order in which somebody needs what it checks.

    Whoever has neither deployed nor named a project wants none of Google Cloud yet, and nothing of
    that is wrong.
    """
    for finding in local_findings(Path()):
        yield dataclasses.replace(finding, part="this machine")
    if not outputs.exists() and not _wanted_project():
        yield Finding(
            "Google Cloud",
            "skipped",
            "not set up: SAM_PROJECT_ID is not set and nothing is deployed",
            "to deploy, export SAM_PROJECT_ID=my-project and run this again; "
            "'sam-vertex rehearse' needs no project",
        )
        return
    checks: tuple[Callable[[], Finding], ...] = (
        check_terraform,
        check_node,
        check_cdktf,
        check_settings,
        check_credentials,
        check_gcloud,
        lambda: check_startup(outputs),
    )
    for check in checks:
        yield check()
    yield from _cloud(outputs)


def _wanted_project() -> str:
    """The project that the settings name; empty for none."""
    return os.environ.get("SAM_PROJECT_ID") or str(saved_settings(Path()).get("project_id", ""))


def _cloud(outputs: Path) -> Iterator[Finding]:
    """The checks of the deployed project, or else of the one that the settings name."""
    if outputs.exists():
        deployment = Deployment.from_outputs(outputs)
        workbench = (deployment.workbench_name, deployment.workbench_zone)
        endpoint = deployment.endpoint_resource_name if deployment.release.get("image") else ""
        quotas = QUOTAS if deployment.workbench_name else WITHOUT_WORKBENCH
        yield from cloud_findings(
            deployment.project_id, deployment.region, workbench, endpoint, quotas
        )
    else:
        saved = saved_settings(Path())
        region = os.environ.get("SAM_REGION") or str(saved.get("region", "us-west1"))
        wanted = os.environ.get("SAM_WORKBENCH") or str(saved.get("workbench", True))
        none = wanted.lower() in ("false", "0", "no", "off")
        quotas = WITHOUT_WORKBENCH if none else QUOTAS
        yield from cloud_findings(_wanted_project(), region, ("", ""), quotas=quotas)
