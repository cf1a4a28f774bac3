"""The doctor names what is missing or wrong, how to mend it, and what the Workbench reports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from scripts.rehearsal.google_provider.objects import Objects
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


def test_outputs_of_something_else_are_refused(tmp_path: Path) -> None:
    (tmp_path / "outputs.json").write_text('{"other-stack": {}}')
    done = subprocess.run(
        [PROGRAM, "doctor", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "does not hold the outputs of sam-platform" in done.stderr
