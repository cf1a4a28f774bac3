"""The notebooks run from top to bottom, and what lies beside their sources is what they showed."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.checkout import ROOT
from scripts.development import notebooks

SOURCES = notebooks.sources()
# Less to compute than what a reader sees; the same cells.
QUICK: dict[str, dict[str, Any]] = {
    "01": {"points_per_side": 6},
    "02": {},
    "07": {"sizes": "2", "points_per_side": 4},
}
STATEMENTS = 10  # of a cell; where it needs more, the package lacks a function


@pytest.fixture(params=SOURCES, ids=[path.stem for path in SOURCES])
def source(request: pytest.FixtureRequest) -> Path:
    """Each notebook in turn."""
    path: Path = request.param
    return path


def code_of(notebook: Any) -> list[str]:
    """The code cells' texts, without the parameters'."""
    return [
        cell["source"]
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and not cell["metadata"].get("tags")
    ]


def test_there_are_seven() -> None:
    assert [path.name[:2] for path in SOURCES] == [f"{number:02}" for number in range(1, 8)]


def test_it_opens_on_the_kernel_that_the_workbench_registers(source: Path) -> None:
    spec = notebooks.read_source(source).metadata["kernelspec"]
    script = (ROOT / "infra" / "startup" / "post-startup.sh").read_text("utf-8")
    named = f'--name {spec["name"]} --display-name "{spec["display_name"]}"'
    assert f"ipykernel install --user {named}" in script


def test_it_begins_with_doctor_and_ends_with_the_bill(source: Path) -> None:
    cells = code_of(notebooks.read_source(source))
    assert "sam-vertex doctor" in cells[0]
    assert cells[-1].splitlines()[-1].startswith("still_billing(")


def test_only_the_cell_of_parameters_needs_an_edit(source: Path) -> None:
    notebook = notebooks.read_source(source)
    tagged = [cell for cell in notebook.cells if cell["metadata"].get("tags") == ["parameters"]]
    assert len(tagged) == 1
    for cell in code_of(notebook):
        strings = [
            node.value
            for node in ast.walk(ast.parse(cell))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        assert not [text for text in strings if text.startswith(("/home", "/tmp", "~"))]


def test_no_cell_does_what_the_package_should(source: Path) -> None:
    for cell in code_of(notebooks.read_source(source)):
        statements = [
            node
            for node in ast.parse(cell).body
            if not isinstance(node, ast.Import | ast.ImportFrom)
        ]
        assert len(statements) <= STATEMENTS, cell


def test_executed_copy_has_the_sources_cells_and_what_they_showed(source: Path) -> None:
    """``make notebooks`` writes it anew."""
    executed = json.loads(source.with_suffix(".ipynb").read_text("utf-8"))
    ours = notebooks.read_source(source)
    assert executed["metadata"]["kernelspec"] == ours["metadata"]["kernelspec"]
    assert ["".join(cell["source"]) for cell in executed["cells"]] == [
        cell["source"] for cell in ours.cells
    ]
    code = [cell for cell in executed["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert outputs
    assert not [output for output in outputs if output["output_type"] == "error"]
    for cell in code:
        assert len(json.dumps(cell["outputs"])) <= notebooks.MAX_CELL_BYTES


@pytest.mark.parametrize("number", QUICK)
def test_it_runs_without_google_cloud(
    number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (path,) = [path for path in SOURCES if path.name.startswith(number)]
    executed = notebooks.execute(path, folder, QUICK[number])
    assert any(cell.get("outputs") for cell in executed.cells)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder beside whose parent's outputs.json a rehearsed deployment runs."""
    parent = tmp_path_factory.mktemp("checkout")
    folder = parent / "notebooks"
    folder.mkdir()
    with notebooks.rehearsed_deployment(parent):
        yield folder


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_those_on_google_cloud_run_in_a_rehearsal(deployed: Path) -> None:
    for path in SOURCES:
        if path.name.startswith(notebooks.ON_GOOGLE_CLOUD):
            executed = notebooks.execute(path, deployed)
            assert "still_billing" in executed.cells[-1]["source"]
