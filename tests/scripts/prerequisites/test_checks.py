"""The doctor names what is missing or wrong here and on Google Cloud, and how to fix it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import torch

from scripts.prerequisites import local_checks
from scripts.rehearsal.google_provider.objects import Objects
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.sam.machine import accelerator
from tests.command_line import sam_vertex
from tests.stand_ins.outputs import platform_outputs

PROGRAM = str(Path(sys.executable).with_name("sam-vertex"))


def run(
    cwd: Path, *arguments: str, programs: dict[str, str] | None = None, **environ: str
) -> tuple[int, dict[str, dict[str, str]], str]:
    """Exit code, findings by check, and standard error; programs are stand-ins on the PATH."""
    for name, text in (programs or {}).items():
        program = cwd / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{text}'\n")
        program.chmod(0o755)
    path = f"{cwd / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        [PROGRAM, "doctor", "--json", *arguments],
        cwd=cwd,
        env={**os.environ, "PATH": path, "HOME": str(cwd), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    findings = json.loads(done.stdout)
    return done.returncode, {finding["check"]: finding for finding in findings}, done.stderr


def test_doctor_names_everything_that_is_wrong(tmp_path: Path) -> None:
    """Old Terraform, no Node, a wrong zone, no credentials: named in one go, exit code 2."""
    code, findings, stderr = run(
        tmp_path,
        programs={"terraform": "Terraform v1.2.9"},
        SAM_PROJECT_ID="my-project",
        SAM_ZONE="us-west1-c",
    )
    assert code == 2
    assert findings["terraform"]["status"] == "wrong"
    assert "1.2.9" in findings["terraform"]["message"]
    assert findings["settings"]["status"] == "wrong"
    assert "SAM_ZONE" in findings["settings"]["message"]
    assert "us-west1-a" in findings["settings"]["hint"]
    assert findings["credentials"]["status"] == "missing"
    assert findings["workbench start-up"]["status"] == "skipped"
    assert json.loads(stderr)["error"].startswith("to be fixed: ")
    assert all(f["hint"] for f in findings.values() if f["status"] in ("missing", "wrong"))


def test_doctor_finds_everything_in_order(tmp_path: Path) -> None:
    credentials = tmp_path / "key.json"
    credentials.write_text("{}")
    _, findings, _ = run(
        tmp_path,
        programs={"terraform": "Terraform v1.11.4", "node": "v20.20.2"},
        SAM_PROJECT_ID="my-project",
        GOOGLE_APPLICATION_CREDENTIALS=str(credentials),
    )
    for check in ("python", "terraform", "node", "settings", "credentials"):
        assert findings[check]["status"] == "ok", findings[check]


@pytest.mark.parametrize(
    ("report", "status"),
    [
        pytest.param(None, "waiting", id="no report yet"),
        pytest.param(("running", "clone"), "waiting", id="running"),
        pytest.param(("ready", "done"), "ok", id="ready"),
        pytest.param(("failed", "driver"), "wrong", id="failed"),
    ],
)
def test_doctor_reads_the_report_of_the_workbench(
    report: tuple[str, str] | None, status: str, tmp_path: Path, storage_server: str
) -> None:
    """Each call is a process of its own, because a process keeps its storage client."""
    bucket = f"b-{uuid.uuid4().hex[:12]}"
    objects = Objects(storage_server)
    objects.create_bucket(bucket, "my-project")
    name = "startup/status/sam-workbench.json"
    outputs = {**platform_outputs("my-project"), "startup_status_uri": f"gs://{bucket}/{name}"}
    (tmp_path / "outputs.json").write_text(json.dumps({"sam-platform": outputs}))
    if report:
        text = {"status": report[0], "step": report[1], "message": "m", "reported": "2026-11-22"}
        objects.put(bucket, name, json.dumps(text).encode())
    _, findings, _ = run(tmp_path, STORAGE_EMULATOR_HOST=storage_server)
    finding = findings["workbench start-up"]
    assert finding["status"] == status, finding
    assert bool(finding["hint"]) == (status != "ok")


def test_without_a_project_only_this_machine_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAM_PROJECT_ID", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    code, findings, stderr = run(tmp_path)
    assert (code, stderr) == (0, "")
    cloud = findings.pop("Google Cloud")
    assert cloud["message"].startswith("not set up: ") and "SAM_PROJECT_ID=" in cloud["hint"]
    assert set(findings) == {"python", "torch", "checkpoints", "disk"}
    assert {finding["part"] for finding in findings.values()} == {"this machine"}
    assert findings["checkpoints"]["status"] == "waiting"
    assert "fetch vit_b" in findings["checkpoints"]["hint"]


def test_a_project_in_cdktf_json_makes_google_cloud_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAM_PROJECT_ID", raising=False)
    (tmp_path / "cdktf.json").write_text('{"context": {"project_id": "my-project"}}')
    code, findings, _ = run(tmp_path)
    assert code == 2
    assert findings["credentials"]["status"] == "missing"
    assert findings["credentials"]["part"] == "Google Cloud"


def test_the_two_parts_have_headings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAM_PROJECT_ID", raising=False)
    monkeypatch.chdir(tmp_path)
    lines = sam_vertex("doctor").stdout.splitlines()
    headings = [line for line in lines if not line.startswith(" ")]
    assert headings == ["what a run on this machine needs", "what Google Cloud needs"]


def test_a_full_disk_and_a_gpu_that_pytorch_does_not_see_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_checks, "LEAST_FREE_BYTES", 10**18)
    disk = local_checks.check_disk(tmp_path)
    assert disk.bad and "--output" in disk.hint and str(tmp_path) in disk.message
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15")
    monkeypatch.setattr(accelerator, "_DRIVER", tmp_path / "version")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    unseen = local_checks.check_torch()
    assert unseen.status == "waiting" and "driver 550.54.15" in unseen.message
    assert "CUDA build" in unseen.hint


def test_checkpoints_that_were_fetched_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = CHECKPOINTS["vit_b"].path_here
    path.parent.mkdir(parents=True)
    path.touch()
    found = local_checks.check_checkpoints()
    assert found.status == "ok" and {"vit_tiny", "vit_b"} <= set(found.message.split(", "))


def test_outputs_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "outputs.json").write_text('{"other-stack": {}}')
    done = subprocess.run(
        [PROGRAM, "doctor", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "does not hold the outputs of sam-platform" in done.stderr
