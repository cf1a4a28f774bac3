"""What binds the whole project: versions, rooms, the lock."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts.checkout import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
ROOMS = ("infra", "serving", "pipeline", "scripts")
MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def test_changelog_begins_with_the_projects_version() -> None:
    found = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert found is not None
    assert found[1] == PROJECT["project"]["version"]


def test_lock_pins_every_declared_dependency_exactly() -> None:
    lines = (ROOT / "requirements.lock").read_text("utf-8").split()
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-]+==[A-Za-z0-9_.\-]+", line) for line in lines)
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    extras = PROJECT["project"]["optional-dependencies"]
    declared = [
        *PROJECT["project"]["dependencies"],
        *(item for name in ("demo", "dev", "infra", "rehearsal") for item in extras[name]),
    ]
    names = {re.split(r"[<>=\[;]", item)[0].lower().replace("_", "-") for item in declared}
    assert names <= pinned


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_fits_one_reason_to_change(path: Path) -> None:
    """At most 320 lines, a docstring, and no ``except`` that catches everything unnamed."""
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module says what it is for"
    assert len(text.splitlines()) <= 320, "split it by concept"
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.ExceptHandler) and node.type is None)


def test_environment_is_read_at_entry_points_only() -> None:
    """``os.environ`` appears where a process begins or starts another, nowhere else."""
    readers = {
        str(path.relative_to(ROOT)) for path in MODULES if "os.environ" in path.read_text("utf-8")
    }
    assert readers == {
        "infra/main.py",
        "pipeline/local_engine.py",
        "pipeline/run/step_process.py",
        "scripts/development/policy_audit.py",
        "scripts/checkpoints/cache.py",
        "scripts/commands/doctor.py",
        "scripts/commands/model.py",
        "scripts/development/plan_comment.py",
        "scripts/costs/prices.py",
        "scripts/rehearsal/local_cloud.py",
        "scripts/rehearsal/journey_tools.py",
        "scripts/rehearsal/container_engine/command.py",
        "scripts/rehearsal/google_provider/__main__.py",
        "scripts/rehearsal/vertex_ai/jobs/pipeline_process.py",
        "scripts/rehearsal/vertex_ai/containers/environment.py",
        "scripts/commands/serve.py",
        "scripts/cloud/vertex_sdk.py",
        "serving/predictor.py",
        "serving/server.py",
    }


def test_help_imports_neither_torch_nor_kubeflow() -> None:
    """The command line answers at once."""
    code = (
        "import sys; from scripts.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "slow = {'torch', 'kfp', 'google.cloud.storage', 'google.cloud.aiplatform'}\n"
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
