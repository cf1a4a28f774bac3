"""``sam-vertex rehearse``: the whole journey as an operator types it, and its interruption."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from scripts.checkout import ROOT
from scripts.cloud.deployment import Deployment
from scripts.rehearsal.google_provider.world import World
from scripts.rehearsal.journey import STEPS, Journey
from scripts.terminal.errors import OperatorError
from scripts.terminal.step_list import StepList
from serving.sam.engine import Engine
from tests.command_line import sam_vertex
from tests.journeys.model_life import live_through_everything
from tests.journeys.rehearsed_operator import Operator

PROGRAM = str(Path(sys.executable).with_name("sam-vertex"))
needs_cdktf = pytest.mark.skipif(
    not (ROOT / "node_modules" / ".bin" / "cdktf").exists(),
    reason="cdktf is not installed here; make setup does where npm is",
)


def processes_of(temporary: Path) -> list[bytes]:
    """The commands of all processes that were given this folder for temporary files."""
    commands = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"TMPDIR={temporary}\0".encode() in (path / "environ").read_bytes():
                commands.append((path / "cmdline").read_bytes())
    return [command for command in commands if command]


@needs_cdktf
@pytest.mark.timeout(1800)  # three minutes on an idle machine
def test_whole_journey_leaves_a_report_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> None:
    """With everything that a model lives through in the middle of it."""
    temporary, output, life = (tmp_path / name for name in ("tmp", "rehearsal", "life"))
    temporary.mkdir()
    life.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    class WithALife(Journey):
        def _predict(self) -> None:
            super()._predict()
            # The Workbench's account does what it is for; that of checkpoints does no more.
            accounts = self._platform["service_accounts"]
            workbench = Operator(self._cloud, self._settings, accounts["workbench"])
            assert "serves already" in workbench.run("model", "release")
            uploader = Operator(self._cloud, self._settings, accounts["checkpoints"])
            assert "is there already" in uploader.run("checkpoint", "upload", "vit_tiny")
            refused = uploader.run("images", "upload", "images", expect=1)
            assert "permission storage.objects.list is missing" in refused
            with World(self._cloud.world_path).open() as world:
                # A second version beside the first needs a second T4, which was asked for.
                world["unsettled_requests"] = 0  # the load below counts every refusal
                world["vertex"]["unsettled"] = {}
                world["quotas"]["CustomModelServingT4GPUsPerProjectPerRegion"] = 2
            with pytest.MonkeyPatch.context() as patch:
                # This process is a client as well, and trusts the endpoint's name.
                patch.setenv("REQUESTS_CA_BUNDLE", str(self._cloud.home / "vertex.pem"))
                operator = Operator(self._cloud, self._settings)
                live_through_everything(operator, engine, life)

    monkeypatch.setattr("scripts.commands.rehearse.Journey", WithALife)
    done = sam_vertex("rehearse", "--output", output, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["resources"] >= 60  # of the provider; the inventory lists them
    assert summary["images"] == 6
    assert set(summary["steps"]) == set(STEPS)
    for number in range(1, len(STEPS) + 1):
        assert f"[{number}/{len(STEPS)}] ✓" in done.stderr
    assert Path(summary["report"]).exists()
    masks = list((output / "run" / "masks").glob("*.json"))
    assert len(masks) == 6
    assert "broken.jpg" in (output / "run" / "failed.jsonl").read_text()
    assert list((output / "predictions").glob("*.overlay.png"))
    # The outputs are exactly what the scripts read.
    deployment = Deployment.from_outputs(output / "outputs.json")
    assert deployment.bucket_name == "rehearsed-project-sam"
    assert deployment.endpoint_dns.startswith("sam-endpoint.us-west1-")
    outputs = json.loads((output / "outputs.json").read_text())
    fields = {name for stack in outputs.values() for name in stack}
    assert fields == set(Deployment.__dataclass_fields__), "outputs and Deployment differ"
    # torch itself keeps a folder there for this process.
    left = [path.name for path in temporary.iterdir() if not path.name.startswith("torchinductor")]
    assert left == [] and processes_of(temporary) == []


@needs_cdktf
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_interruption_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    """While cdktf and Terraform deploy: no process, no temporary file stays."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    run = subprocess.Popen(
        [PROGRAM, "rehearse", "--output", str(tmp_path / "rehearsal")],
        cwd=tmp_path, env={**os.environ, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not any(b"terraform\0apply" in command for command in processes_of(temporary)):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.1)
    run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "error: interrupted" in errors and "Traceback" not in errors
    deadline = time.monotonic() + 10
    while processes_of(temporary):
        assert time.monotonic() < deadline, processes_of(temporary)
        time.sleep(0.2)
    assert [path.name for path in temporary.iterdir() if path.name.startswith("sam-")] == []


@needs_cdktf
def test_failed_deployment_says_why_and_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAM_ZONE", "us-west1-c")
    before = set(Path(tempfile.gettempdir()).glob("sam-rehearsal-*"))
    with pytest.raises(OperatorError, match="SAM_ZONE: 'us-west1-c' has no T4s"):
        Journey(tmp_path / "rehearsal").run()
    assert set(Path(tempfile.gettempdir()).glob("sam-rehearsal-*")) == before
    assert (tmp_path / "rehearsal" / "logs" / "deploy.log").exists()


def test_steps_are_lines_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    steps = StepList(["first", "second"])
    with pytest.raises(ValueError, match="no"), steps.shown():
        with steps.step("first") as notes:
            notes.append("done so far")
        with steps.step("second"):
            raise ValueError("no")
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("[1/2] ✓ first") and first.endswith("done so far")
    assert second.startswith("[2/2] ✗ second")
    assert set(steps.timings()) == {"first", "second"}
