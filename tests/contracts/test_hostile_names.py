"""In every place where a name is shown, or becomes a path, it is a name and nothing else."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from pipeline.report.templates import escape_markdown
from pipeline.run.image_names import output_name
from pipeline.run.parameters import RunParameters
from scripts.terminal.errors import OperatorError, print_error
from scripts.terminal.progress import report_line
from serving.errors import RequestError
from serving.log_lines import JsonLines
from serving.work import object_name
from tests.conftest import draw_scene
from tests.pipeline.conftest import run_steps

NAMES = {
    "escape": "\x1b[31mred\x1b]0;title\x07.png",
    "lines": "a\nb\rc.png",
    "8-bit control": "\x9b31m.png",
    "html": "<img src=x onerror=alert(1)>.png",
    "end of script": "x</script><img src=x onerror=alert(1)>.png",
    "quotes": "\"'><svg onload=alert(1)>.png",
    "markdown": "[x](http:evil) `*_|# .png",
    "bidi": "photo\u202egnp.exe.png",
    "no width": "a\u200b\ufeffb.png",
    "255 bytes": "x" * 251 + ".png",
    "template": "{{7*7}}{%x%}.png",
    "percent": "a%2F..%00b#c?d.png",
    "colour": "[red]a[bold].png",
    "line separator": "a\u2028b.png",
    "no text": "\udcff.png",
}
# What a terminal obeys, or what shows a name as another.
OBEYED = [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *"\u202e\u2066\u200b\ufeff\u2028"]


def _error(name: str) -> str:
    print_error(OperatorError(f"{name}: no such file", hint=f"look for {name}"))
    return ""


def _progress(name: str) -> str:
    report_line(f"reads {name}")
    return ""


# Each shows a name: returns it, or prints it.
PLACES: dict[str, Callable[[str], str]] = {
    "an error": _error,
    "progress": _progress,
    "a server's message": lambda name: RequestError(f"{name}: not there").message,
    "report.md": escape_markdown,
    "a file of the output": output_name,
    "an object of an output_uri": lambda name: object_name(3, name, "0" * 64),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_nothing_that_a_terminal_obeys_is_shown(
    place: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    returned = PLACES[place](name)
    printed = capsys.readouterr()
    lines = (returned + printed.out + printed.err).splitlines()
    assert not [sign for sign in OBEYED if any(sign in line for line in lines)]
    assert 1 <= len(lines) <= 2
    assert "\n".join(lines).encode()  # no half of a character
    if place.startswith(("a file", "an object")):
        assert all(len(part.encode()) < 255 for part in returned.split("/"))


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_log_line_is_one_line_of_json(name: str) -> None:
    record = logging.LogRecord("serving", logging.WARNING, "", 0, "read %s", (name,), None)
    (line,) = JsonLines().format(record).split("\n")
    content = json.loads(line)
    assert content["severity"] == "WARNING"
    assert content["message"].startswith("read ")


class Tags(HTMLParser):
    """The tags of a page, and the attributes that run something."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run over images of these names leaves; one more is no image."""
    folder = tmp_path_factory.mktemp("names")
    for name in [*NAMES.values(), "\x1b[32mbad\u202e<b>.png"]:
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            Image.fromarray(draw_scene(48, 36)).save(file, "PNG")
    path.write_bytes(b"no image")
    run = RunParameters(inputs=(str(folder / "in"),), output=str(folder / "out"), points_per_side=2)
    summary = run_steps(run)
    assert (summary.images, summary.failed) == (len(NAMES) + 1, 1)
    return folder / "out"


def test_a_run_over_such_names_writes_paths_and_json_that_are_harmless(output: Path) -> None:
    for path in output.rglob("*"):
        assert not [sign for sign in OBEYED if sign in path.name], ascii(path.name)
    coco = json.loads((output / "annotations.json").read_text("utf-8"))
    names = [image["file_name"] for image in coco["images"]]
    rows = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    assert len(names) == len(NAMES) and len(rows) == len(NAMES) + 1
    for text in [*names, *(row["image"] + row["reason"] for row in rows)]:
        assert not [sign for sign in OBEYED if sign in text], ascii(text)


def test_the_report_shows_such_names_and_runs_none(output: Path) -> None:
    page = (output / "report.html").read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert tags.handlers == []
    assert "img" not in tags.names[: tags.names.index("body")]
    assert tags.names.count("script") == page.count("</script>")
    assert not [sign for sign in OBEYED if sign in page.replace("\n", "")]


def test_the_markdown_shows_such_names_as_text(output: Path) -> None:
    text = (output / "report.md").read_text("utf-8")
    assert not [sign for sign in OBEYED if sign in text.replace("\n", "")]
    assert "onerror" in text and not re.search(r"<(img|svg|script|b)\b", text)
    assert "](http" not in text
