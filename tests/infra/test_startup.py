"""The Workbench's start, run for real with stand-ins of the programs it calls."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from infra.settings import Settings
from infra.workbench import startup_script

PROGRAMS = {
    "nvidia-smi": 'test -e "$FAKE/driver" && echo "| Driver Version: 1  CUDA Version: $CUDA |"',
    "sudo": 'shift 2; exec "$@"',
    "git": 'test ! -e "$FAKE/no-network" && mkdir -p "${@: -1}"',
    "make": (
        'echo "$@" > "$FAKE/made"; mkdir -p "$2/.venv/bin"; cp "$FAKE/own" "$2/.venv/bin/python"'
    ),
    "gcloud": (
        'if [ -e "$FAKE/no-grant" ]; then rm "$FAKE/no-grant"; cat > /dev/null; exit 1; fi; '
        'cat >> "$FAKE/status"'
    ),
    "sleep": 'echo "$@" >> "$FAKE/slept"',
}
# The environment's Python, whose torch sees the GPU unless $FAKE says otherwise.
OWN = """#!/bin/bash
case "$*" in
  *is_available*) test ! -e "$FAKE/cuda-13-torch" ;;
  *importlib*) exec "$REAL" "$@" ;;
  *"pip install"*torch*) printf '%s\n' "$@" > "$FAKE/torch"; rm -f "$FAKE/cuda-13-torch" ;;
  *"ipykernel install"*) touch "$FAKE/kernel" ;;
esac
"""
CONDA = 'for last; do :; done; mkdir -p "$FAKE/home/python-3.11/bin"; echo "$last" > "$FAKE/conda"'


def run(
    folder: Path, *present: str, url: str = "https://example.com/sam.git", cuda: str = "13.0"
) -> tuple[int, list[dict[str, str]]]:
    """Exit code of the script and everything it reported, in order."""
    for name in present:
        (folder / name).touch()
    (folder / "own").write_text(OWN)
    (folder / "own").chmod(0o755)
    for name, body in PROGRAMS.items():
        program = folder / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/bash\n{body}\n")
        program.chmod(0o755)
    (folder / "bin" / "python3").symlink_to(sys.executable)
    for name in ("bash", "basename", "cat", "cp", "date", "mkdir", "rm", "sed", "touch"):
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
        env={
            "PATH": str(folder / "bin"),
            "FAKE": str(folder),
            "REAL": sys.executable,
            "CUDA": cuda,
            "PAUSE": "7",
        },
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


def test_start_proves_the_gpu_and_registers_a_kernel(tmp_path: Path) -> None:
    """On an older driver with a torch that is built for it."""
    code, reports = run(tmp_path, "driver", "cuda-13-torch", cuda="12.2")
    assert (code, reports[-1]["status"]) == (0, "ready")
    asked = set((tmp_path / "torch").read_text().splitlines())
    for name in ("torch", "torchvision"):  # those of one CUDA, with what they need of it
        assert f"{name}=={metadata.version(name).partition('+')[0]}+cu126" in asked
    assert "https://download.pytorch.org/whl/cu126" in asked
    assert "--no-deps" not in asked
    assert (tmp_path / "kernel").exists()


def test_start_without_a_torch_for_the_driver_says_so(tmp_path: Path) -> None:
    code, reports = run(tmp_path, "driver", "cuda-13-torch", cuda="11.8")
    assert (code, reports[-1]["step"]) == (1, "gpu")
    assert "the driver has CUDA 11.8, and only CUDA 12" in reports[-1]["message"]


def test_report_waits_for_a_grant_that_comes_late(tmp_path: Path) -> None:
    code, reports = run(tmp_path, "driver", "no-grant")
    assert code == 0
    assert [report["status"] for report in reports] == ["running", "ready"]
    assert (tmp_path / "slept").read_text() == "7\n"


def test_next_start_mends_what_failed(tmp_path: Path) -> None:
    code, _ = run(tmp_path, "driver", "no-network")
    assert code == 1
    (tmp_path / "no-network").unlink()
    shutil.rmtree(tmp_path / "bin")
    code, reports = run(tmp_path)
    assert (code, reports[-1]["status"]) == (0, "ready")


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
