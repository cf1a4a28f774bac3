"""Execute the notebooks' sources and keep them as .ipynb, with their pictures.

    python -m scripts.development.notebooks          # all seven, 03 to 06 in a rehearsal
    python -m scripts.development.notebooks 01 07    # those that begin so

Each is executed in a folder of its own that looks like the project's: ``notebooks/`` with the
sources, and beside it the outputs of a deployment where the notebook needs one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.checkout import ROOT, STACKS

FOLDER = ROOT / "notebooks"
# What these do needs a deployment; the others stand alone.
ON_GOOGLE_CLOUD = ("03", "04", "05", "06")
CELL_SECONDS = 600
MAX_CELL_BYTES = 200_000  # of what a cell shows, so that the page opens anywhere


def sources() -> list[Path]:
    """The notebooks as text, in order."""
    return sorted(FOLDER.glob("[0-9][0-9]-*.py"))


def read_source(path: Path) -> Any:
    """Return a source as a notebook without outputs; its cells have the numbers of their order.

    Cells get their ids from their place, so that writing the same notebook again changes nothing.
    """
    import jupytext  # type: ignore[import-untyped]

    notebook = jupytext.read(path)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02}"
    return notebook


def execute(path: Path, folder: Path, parameters: Mapping[str, Any] | None = None) -> Any:
    """Run a notebook from top to bottom and return it with its outputs.

    Args:
        path: the source.
        folder: the kernel's working folder.
        parameters: values that replace those of the cell tagged ``parameters``, as papermill does.

    Raises:
        CellExecutionError: a cell failed.
    """
    from nbclient import NotebookClient

    notebook = read_source(path)
    _set_parameters(notebook, parameters or {})
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook,
        kernel_name="python3",  # of this environment; the notebooks name the Workbench's own
        timeout=CELL_SECONDS,
        resources=resources,
        coalesce_streams=True,
        store_widget_state=False,  # nothing answers a click in a page that is only read
    )
    with tempfile.TemporaryDirectory(prefix="sam-kernel-") as private:
        manager = client.create_kernel_manager()
        # Sockets in a folder of our own: on TCP everybody on this machine could listen.
        manager.transport, manager.ip = "ipc", f"{private}/socket"
        client.execute(cwd=str(folder))
    for cell in notebook.cells:
        cell["metadata"].pop("execution", None)  # times of day, different each time
    return notebook


def _set_parameters(notebook: Any, parameters: Mapping[str, Any]) -> None:
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell["metadata"].get("tags", ())]
    for name, value in parameters.items():
        lines = cell["source"].split("\n")
        found = [number for number, line in enumerate(lines) if line.startswith(f"{name} = ")]
        if len(found) != 1:
            raise ValueError(f"{name}: the cell of parameters sets it {len(found)} times, not once")
        lines[found[0]] = f"{name} = {value!r}"
        cell["source"] = "\n".join(lines)


@contextlib.contextmanager
def rehearsed_deployment(folder: Path) -> Iterator[None]:
    """Deploy both stacks into a local cloud, point this process at it, and end it afterwards.

    Args:
        folder: receives ``outputs.json``.
    """
    from scripts.rehearsal import local_cloud
    from scripts.rehearsal.journey_tools import PROJECT, cdktf

    home = Path(tempfile.mkdtemp(prefix="sam-rehearsal-"))
    before = dict(os.environ)
    try:
        cloud = local_cloud.start(home)
        flags = ("--auto-approve", "--skip-provider-lock")
        cdktf(cloud, "deploy", *STACKS, *flags, "--outputs-file", str(folder / "outputs.json"))
        os.environ.update({"SAM_PROJECT_ID": PROJECT, **cloud.environment()})
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        local_cloud.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def write(notebook: Any, path: Path) -> None:
    """Write an executed notebook beside its source.

    Raises:
        ValueError: a cell shows more than :data:`MAX_CELL_BYTES`.
    """
    import nbformat

    for number, cell in enumerate(notebook.cells):
        shown = len(json.dumps(cell.get("outputs", [])))
        if shown > MAX_CELL_BYTES:
            raise ValueError(f"{path.name}: cell {number} shows {shown} bytes")
    nbformat.write(notebook, path.with_suffix(".ipynb"))


def main(arguments: list[str] | None = None) -> int:
    """Execute and write the chosen notebooks; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chosen", nargs="*", help="beginnings of names; default: all")
    chosen = tuple(parser.parse_args(arguments).chosen)
    paths = [path for path in sources() if path.name.startswith(chosen or ("",))]
    with tempfile.TemporaryDirectory(prefix="sam-notebooks-") as name:
        folder = Path(name) / "notebooks"
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            if any(path.name.startswith(ON_GOOGLE_CLOUD) for path in paths):
                stack.enter_context(rehearsed_deployment(Path(name)))
            for path in paths:
                print(path.name, flush=True)
                write(execute(path, folder), path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
