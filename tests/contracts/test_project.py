"""What binds the whole project: versions, rooms, the lock."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from scripts.checkout import ROOT
from scripts.cli import app
from tests.command_line import sam_vertex

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
        *(
            item
            for name in ("demo", "dev", "infra", "notebooks", "rehearsal")
            for item in extras[name]
        ),
    ]
    names = {re.split(r"[<>=\[;]", item)[0].lower().replace("_", "-") for item in declared}
    assert names <= pinned


def test_no_module_grows_beyond_320_lines() -> None:
    """Where one does, it has two subjects; docstrings and bare ``except`` are ruff's."""
    lengths = {str(path.relative_to(ROOT)): path.read_text("utf-8").count("\n") for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 320} == {}


# Where a variable is read or set by its name, and why there.
READS_THE_ENVIRONMENT = {
    "infra/main.py": "cdktf starts it",
    "serving/predictor.py": "Vertex builds it without arguments",
    "serving/server.py": "the container starts it",
    "serving/sam/machine/user_cache.py": "XDG says where a cache is",
    "pipeline/graph_process.py": "a process that ends with its owner",
    "pipeline/run/step_process.py": "a step is a process: whose it is, and where its error goes",
    "scripts/cli.py": "a shell that points at a stopped rehearsal is refused before any command",
    "scripts/commands/": "an operator starts them",
    "scripts/development/notebooks.py": "points the kernels at a rehearsal",
    "scripts/notebooks/session.py": "puts the kernel's own commands on PATH",
    "scripts/cloud/project_services.py": "a rehearsal's address of the project's services",
    "scripts/cloud/saved_settings.py": "the folder of the rehearsal that a shell is in",
    "scripts/cloud/vertex_sdk.py": "a rehearsal's address, for whatever starts the SDK",
    "scripts/costs/prices.py": "an operator's own price list",
    "scripts/releases/request.py": "Terraform's request, whichever command Terraform starts",
    "scripts/development/": "CI or a developer starts them",
    "scripts/prerequisites/checks.py": "credentials and a rehearsal are found by variables",
    "scripts/rehearsal/": "stand-ins are processes with what the real ones are given",
}


def test_environment_is_read_where_a_process_begins_and_nowhere_else() -> None:
    """Read by name, by whatever spelling; handing the whole of it to a child is free."""
    readers = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if _reads_a_variable(ast.parse(path.read_text("utf-8")))
    }
    assert {name for name in readers if not name.startswith(tuple(READS_THE_ENVIRONMENT))} == set()
    unused = [
        entry
        for entry in READS_THE_ENVIRONMENT
        if not any(name.startswith(entry) for name in readers)
    ]
    assert unused == [], "these read nothing any more"


def _reads_a_variable(tree: ast.Module) -> bool:
    """Whether ``os.environ`` or ``os.getenv`` is used otherwise than handed on whole."""
    handed_on = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if key is None  # {**os.environ}
    }
    names = {"environ", "environb", "getenv"}
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and id(node) not in handed_on
        if ast.unparse(node.value) == "os"
    }
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "os"
        for alias in node.names
    }
    return bool(names & (used | imported))


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the tree with the words that lead to it, groups included."""
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, (*words, name))


WITHOUT_EXAMPLE = {("checkpoint", "list"), ("model", "teardown")}  # nothing to say; Terraform's own
COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "sam-vertex")
def test_help_shows_every_option_and_an_example(words: tuple[str, ...]) -> None:
    done = sam_vertex(*words, "--help")
    assert done.returncode == 0
    command = COMMANDS[words]
    for parameter in command.params:
        for option in (*parameter.opts, *parameter.secondary_opts):
            assert not option.startswith("--") or option in done.stdout, option
    if not hasattr(command, "commands") and words not in WITHOUT_EXAMPLE:
        assert "Example" in done.stdout


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
