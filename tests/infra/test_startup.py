"""The Workbench's first start, run for real with stand-ins of the programs it calls."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.workbench import startup_script

PROGRAMS = {
    "nvidia-smi": 'test -e "$FAKE/driver"',
    "sudo": 'shift 2; exec "$@"',
    "git": 'test ! -e "$FAKE/no-network" && mkdir -p "${@: -1}"',
    "make": 'echo "$@" > "$FAKE/made"',
    "gcloud": 'cat >> "$FAKE/status"',
}
CONDA = 'for last; do :; done; mkdir -p "$FAKE/home/python-3.11/bin"; echo "$last" > "$FAKE/conda"'


def run(
    folder: Path, *present: str, url: str = "https://example.com/sam.git"
) -> tuple[int, list[dict[str, str]]]:
    """Exit code of the script and everything it reported, in order."""
    for name in present:
        (folder / name).touch()
    for name, body in PROGRAMS.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/bash\n{body}\n")
        program.chmod(0o755)
    (folder / "bin" / "python3").symlink_to(sys.executable)
    for name in ("bash", "basename", "cat", "date", "mkdir", "touch"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    conda = folder / "opt" / "conda" / "bin" / "conda"
    conda.parent.mkdir(parents=True, exist_ok=True)
    conda.write_text(f"#!/bin/bash\n{CONDA}\n")
    conda.chmod(0o755)
    if "python3.11" in present:
        (folder / "bin" / "python3.11").symlink_to(sys.executable)
    settings = Settings(
        project_id="my-project", repository_url=url, repository_ref="v1; touch /tmp/x"
    )
    text = startup_script(settings, "my-project-sam", "sam-workbench")
    script = folder / "post-startup.sh"
    script.write_text(
        text.replace("/home/jupyter", str(folder / "home")).replace("/opt/", f"{folder / 'opt'}/")
    )
    done = subprocess.run(
        ["/bin/bash", str(script)],
        env={"PATH": str(folder / "bin"), "FAKE": str(folder)},
        capture_output=True,
        check=False,
    )
    lines = (folder / "status").read_text().splitlines()
    return done.returncode, [json.loads(line) for line in lines]


def test_start_that_finds_everything_reports_ready(tmp_path: Path) -> None:
    code, reports = run(tmp_path, "driver")
    assert code == 0
    assert [report["status"] for report in reports] == ["running", "ready"]
    assert reports[-1]["step"] == "done"
    assert reports[-1]["repository_ref"] == "v1; touch /tmp/x"  # quoted, never run
    assert not Path("/tmp/x").exists()
    made = (tmp_path / "made").read_text().split()
    assert made[2:] == ["setup", f"PYTHON={tmp_path}/home/python-3.11/bin/python"]
    assert (tmp_path / "conda").read_text() == "python=3.11\n"


def test_start_takes_the_python_that_is_there(tmp_path: Path) -> None:
    code, _ = run(tmp_path, "driver", "python3.11")
    assert code == 0
    assert (tmp_path / "made").read_text().split()[-1] == f"PYTHON={tmp_path}/bin/python3.11"
    assert not (tmp_path / "conda").exists()


def test_start_without_repository_clones_nothing(tmp_path: Path) -> None:
    code, reports = run(tmp_path, "driver", url="")
    assert (code, reports[-1]["status"]) == (0, "ready")
    assert "nothing was cloned" in reports[-1]["message"]
    assert not (tmp_path / "made").exists()


def test_start_without_driver_installs_it(tmp_path: Path) -> None:
    installer = tmp_path / "opt" / "deeplearning" / "install-driver.sh"
    installer.parent.mkdir(parents=True)
    installer.write_text('#!/bin/bash\ntouch "$FAKE/driver"\n')
    installer.chmod(0o755)
    code, reports = run(tmp_path)
    assert (code, reports[-1]["status"]) == (0, "ready")


@pytest.mark.parametrize(
    ("present", "step", "message"),
    [
        pytest.param((), "driver", "no driver", id="no installer"),
        pytest.param(("driver", "no-network"), "clone", "is there a NAT?", id="no way out"),
    ],
)
def test_start_that_fails_says_where(
    present: tuple[str, ...], step: str, message: str, tmp_path: Path
) -> None:
    code, reports = run(tmp_path, *present)
    assert code == 1
    assert (reports[-1]["status"], reports[-1]["step"]) == ("failed", step)
    assert message in reports[-1]["message"]
