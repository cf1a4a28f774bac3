"""The parts of ``docs/`` that are made from code and results, between marks in their pages.

    python -m tests.contracts.generated            # name the pages that are out of date
    python -m tests.contracts.generated --write    # write them anew

A part begins with ``<!-- NAME: made by ... -->`` and ends with ``<!-- /NAME -->``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from infra.configuration import example
from scripts.checkout import ROOT
from scripts.cli import app
from tests.benchmarks.table import speed


def settings_block() -> str:
    """Every setting of the stacks as a line of shell."""
    reason = "<!-- no-run: values to copy; tests/contracts compares them with infra/settings.py -->"
    return f"{reason}\n```bash\n{example()}\n```"


def command_line_help() -> str:
    """The help of every command, as a terminal of 80 columns shows it."""
    program: Any = typer.main.get_command(app)
    return "\n\n".join(_helps(program, ()))


def _helps(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    shown = CliRunner().invoke(app, [*path, "--help"], prog_name="sam-vertex", terminal_width=80)
    reason = "<!-- no-run: what the command prints; make docs writes it -->"
    name = " ".join(("sam-vertex", *path))
    yield f"## {name}\n\n{reason}\n```text\n{shown.output.strip()}\n```"
    for child, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from _helps(below, (*path, child))


PARTS: Mapping[str, tuple[Path, Callable[[], str]]] = {
    "cli": (ROOT / "docs/cli.md", command_line_help),
    "settings": (ROOT / "docs/settings.md", settings_block),
    "speed": (ROOT / "docs/speed.md", speed),
}


def with_part(text: str, name: str, content: str) -> str:
    """A page's text with ``content`` between the marks of a part.

    Raises:
        ValueError: the page has no such marks.
    """
    marks = re.compile(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not marks.search(text):
        raise ValueError(f"there are no marks <!-- {name}: ... --> and <!-- /{name} -->")
    return marks.sub(lambda match: f"{match[1]}{content}\n{match[2]}", text)


def regenerated(name: str) -> tuple[Path, str, str]:
    """The page of a part, its text, and the text it should have."""
    page, content = PARTS[name]
    text = page.read_text("utf-8")
    return page, text, with_part(text, name, content())


def main() -> int:
    """Write or check every part; 1 where a page is out of date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--write", action="store_true", help="write the pages anew")
    write = parser.parse_args().write
    code = 0
    for name in PARTS:
        page, text, expected = regenerated(name)
        if text == expected:
            continue
        if write:
            page.write_text(expected, "utf-8")
        else:
            code = 1
        print(f"{page.relative_to(ROOT)}: {'written' if write else 'out of date'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
