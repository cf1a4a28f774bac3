"""The pages for people: their commands run, and what they name exists."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image

from infra.configuration import example, load
from infra.settings import Settings, variable
from scripts.checkout import ROOT
from scripts.cli import app
from tests.conftest import draw_scene
from tests.contracts import generated, pages

README = ROOT / "README.md"
DECISIONS = ROOT / "DECISIONS.md"
NAMES = [page.name for page in pages.PAGES]
TESTED = [
    page
    for page in pages.PAGES
    if any(block.kind == "test" for block in pages.blocks(page.read_text("utf-8")))
]


@pytest.fixture(params=pages.PAGES, ids=NAMES)
def page(request: pytest.FixtureRequest) -> Path:
    """Each page in turn."""
    path: Path = request.param
    return path


def test_readme_fits_one_page_and_shows_a_result() -> None:
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 150
    picture = re.search(r"!\[.+\]\((.+)\)", text)
    assert picture is not None
    assert 0 < (ROOT / picture[1]).stat().st_size <= 150_000


def test_every_promise_about_surviving_names_the_test_that_proves_it() -> None:
    text = (ROOT / "docs" / "running.md").read_text()
    section = text.partition("## Resuming")[2].partition("\n## ")[0]
    promises = re.findall(r"^- \*\*.*?(?=^- |\n\n|\Z)", section, re.MULTILINE | re.DOTALL)
    assert len(promises) > 10
    assert [promise for promise in promises if "`tests/" not in promise] == []


def test_readme_leads_to_every_page() -> None:
    linked = {(ROOT / link.partition("#")[0]) for link in pages.links(README.read_text("utf-8"))}
    assert set(pages.PAGES) - {README} <= linked


def test_every_block_is_tested_or_says_why_not(page: Path) -> None:
    for block in pages.blocks(page.read_text("utf-8")):
        assert block.kind, f"put <!-- test: ... --> or <!-- no-run: ... --> above:\n{block.code}"


@pytest.mark.parametrize("page", TESTED, ids=lambda path: path.name)
def test_blocks_run_as_they_stand(page: Path, tmp_path: Path) -> None:
    """All tested blocks of a page in one shell, in a user's folder beside two photographs.

    Only the README says how to get at the commands; the other pages rely on that.
    """
    (tmp_path / "photos").mkdir()
    (tmp_path / ".venv").symlink_to(sys.prefix)
    Image.fromarray(draw_scene(160, 120)).save(tmp_path / "photos" / "apple.jpg")
    Image.fromarray(draw_scene(120, 120)).save(tmp_path / "photos" / "pencil.png")
    tested = [block.code for block in pages.blocks(page.read_text("utf-8")) if block.kind == "test"]
    activate = [] if page == README else ["source .venv/bin/activate"]
    script = "\n".join(["set -e", "PATH=/usr/local/bin:/usr/bin:/bin", *activate, *tested])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def find_command(arguments: list[str]) -> tuple[Any, list[str]]:
    """The command that arguments name, and what is left of them."""
    command: Any = typer.main.get_command(app)
    rest = list(arguments)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in command.commands, f"there is no command {name!r}"
        command = command.commands[name]
    return command, rest


def test_commands_and_their_options_exist(page: Path) -> None:
    for arguments in pages.command_lines(page.read_text("utf-8")):
        command, rest = find_command(arguments)
        known = {name for option in command.params for name in option.opts} | {"--help"}
        given = {argument for argument in rest if argument.startswith("--")}
        assert given <= known, f"sam-vertex {' '.join(arguments)}"


def test_a_command_that_does_not_exist_is_noticed() -> None:
    (arguments,) = pages.command_lines("so `sam-vertex model realise --image X` it is")
    with pytest.raises(AssertionError, match="realise"):
        find_command(arguments)


def test_targets_of_make_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert (
        set(re.findall(r"(?:`|^)make ([a-z]+)", page.read_text("utf-8"), re.MULTILINE)) <= targets
    )


def test_links_lead_somewhere(page: Path) -> None:
    for link in pages.links(page.read_text("utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in pages.anchors(target.read_text("utf-8")), link


def test_every_decision_is_in_the_index_of_rooms() -> None:
    linked = set(pages.links((ROOT / "docs/decisions.md").read_text("utf-8")))
    anchors = pages.anchors(DECISIONS.read_text("utf-8")) - {"decisions"}
    assert {f"../DECISIONS.md#{anchor}" for anchor in anchors} <= linked


@pytest.mark.parametrize("path", [*pages.PAGES, DECISIONS], ids=lambda path: path.name)
def test_named_files_and_modules_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    assert [name for name in sorted(pages.paths(text)) if not pages.exists(name)] == []
    for name in pages.modules(text):
        # The last part or two may be a class and what it has.
        parts = name.split(".")
        stems = [ROOT.joinpath(*parts[:length]) for length in range(len(parts), 1, -1)][:3]
        assert any(stem.is_dir() or stem.with_suffix(".py").exists() for stem in stems), name


def test_environment_variables_exist(page: Path) -> None:
    """Each is a setting of the stacks, or named in our code or in the workflow."""
    sources = [path for room in pages.ROOMS[:4] for path in (ROOT / room).rglob("*.py")]
    sources.append(ROOT / ".github/workflows/checks.yml")
    named = {
        name
        for source in sources
        for name in re.findall(r"\bSAM_[A-Z_]*[A-Z]\b", source.read_text("utf-8"))
    }
    settings = {variable(field) for field in Settings.model_fields}
    used = set(re.findall(r"\bSAM_[A-Z_]*[A-Z]\b", page.read_text("utf-8")))
    assert used - settings - named == set()


@pytest.mark.parametrize("part", list(generated.PARTS))
def test_generated_part_is_up_to_date(part: str) -> None:
    _, text, expected = generated.regenerated(part)
    assert text == expected, "run make docs"


def test_settings_example_is_shell_that_sets_the_defaults() -> None:
    """Every line without its comment sign can be run, and gives the settings they are."""
    script = example().replace("# export", "export") + "\nenv -0"
    done = subprocess.run(["bash", "-c", script], env={}, capture_output=True, check=True)
    pairs = [pair.partition("=") for pair in done.stdout.decode().split("\0") if pair]
    environ = {name: value for name, _, value in pairs if name.startswith("SAM_")}
    assert load({}, environ) == Settings(project_id="my-project")
