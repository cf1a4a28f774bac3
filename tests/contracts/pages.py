"""What the tests read out of the project's Markdown pages: blocks, links, and names of things."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from scripts.checkout import ROOT

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
ROOMS = ("infra", "serving", "pipeline", "scripts", "tests", "docs")
_BLOCK = re.compile(
    r"(?:<!-- (?P<kind>test|rehearsed|no-run): [^>]+ -->\n)?^```\w*\n(?P<code>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
_NOTE = re.compile(r"<!-- (?:test|rehearsed|no-run): ([^>]+) -->")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page.

    Attributes:
        kind: ``test`` where a test runs it, ``rehearsed`` where one does in a local cloud,
            ``no-run`` where it says why not, empty where it says none of these.
        code: its text.
    """

    kind: str
    code: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(match["kind"] or "", match["code"]) for match in _BLOCK.finditer(text)]


def links(text: str) -> list[str]:
    """Targets of a page's links and pictures that are no addresses of the web."""
    return [target for target in _LINK.findall(text) if "://" not in target]


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings have where it is shown."""
    headings = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in _HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in headings}


def command_lines(text: str) -> Iterator[list[str]]:
    """The arguments of every ``sam-vertex`` that a page names, in a block or in a line of text."""
    code = [block.code.replace("\\\n", " ") for block in blocks(text)]
    code += _CODE.findall(_BLOCK.sub("", text))
    for line in "\n".join(code).splitlines():
        for command in re.split(r"&&|;|\$\(|\"?\)", line):
            named = re.match(r"\s*(?:\.venv/bin/)?sam-vertex (.+)", command)
            if named:
                yield shlex.split(named[1], comments=True)


def paths(text: str) -> set[str]:
    """The files and folders of this project that a page names as code or as a block's test."""
    tokens = {token for code in _CODE.findall(_BLOCK.sub("", text)) for token in code.split()}
    tokens |= {token.strip(";,") for note in _NOTE.findall(text) for token in note.split()}
    named = re.compile(rf"(?:{'|'.join(ROOMS)})/[\w./*{{}},-]*")
    return {token for token in tokens if named.fullmatch(token)}


def exists(path: str, folder: Path = ROOT) -> bool:
    """Whether a path that a page names is there; ``{a,b}`` and ``*`` as a shell reads them."""
    choice = re.search(r"\{([^}]+)\}", path)
    if choice:
        before, after = path[: choice.start()], path[choice.end() :]
        return all(exists(before + part + after, folder) for part in choice[1].split(","))
    return any(folder.glob(path)) if "*" in path else (folder / path).exists()


def modules(text: str) -> set[str]:
    """The modules that a page names as code, or starts with ``python -m``."""
    named = re.compile(rf"(?:{'|'.join(ROOMS[:-1])})(?:\.[A-Za-z_]+)+")
    tokens = {token for code in _CODE.findall(_BLOCK.sub("", text)) for token in code.split()}
    started = re.findall(r"python -m ([\w.]+)", text)
    return {token for token in {*tokens, *started} if named.fullmatch(token)}
