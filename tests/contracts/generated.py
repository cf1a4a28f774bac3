"""The parts of ``docs/`` that are made from code and results, between marks in their pages.

    python -m tests.contracts.generated            # name the pages that are out of date
    python -m tests.contracts.generated --write    # write them anew

A part begins with ``<!-- NAME: made by ... -->`` and ends with ``<!-- /NAME -->``.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from infra.configuration import example
from scripts.checkout import ROOT
from tests.benchmarks.table import speed


def settings_block() -> str:
    """Every setting of the stacks as a line of shell."""
    reason = "<!-- no-run: values to copy; tests/contracts compares them with infra/settings.py -->"
    return f"{reason}\n```bash\n{example()}\n```"


PARTS: Mapping[str, tuple[Path, Callable[[], str]]] = {
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
