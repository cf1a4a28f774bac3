"""``report.md``: what a file is called stays text, and what is too much is counted."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from pipeline.report.markdown import MOST_FAILURES, MarkdownReport, in_bucket
from pipeline.report.metrics import LastRun, RunMetrics
from pipeline.report.templates import escape_markdown
from pipeline.run.manifest import ManifestRow
from tests.pipeline.report.conftest import synthetic_content


def report(
    rows: list[tuple[ManifestRow, dict[str, Any] | None]], computed: int = 0, **options: Any
) -> str:
    markdown, metrics = MarkdownReport(10, **options), RunMetrics()
    for row, content in rows:
        markdown.add(row, content)
        metrics.add(row, content)
    return markdown.text(metrics.to_json("local", LastRun(computed, 2.0, []), {}))


def done(name: str) -> tuple[ManifestRow, dict[str, Any]]:
    return ManifestRow(image=name, status="done", masks=2, seconds=1.0), synthetic_content(2)


def failed(name: str, reason: str) -> tuple[ManifestRow, None]:
    return ManifestRow(image=name, status="failed", reason=reason), None


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("<img src=x onerror=alert(1)>.png", "&lt;img src=x onerror=alert\\(1\\)&gt;.png"),
        ("[a](b).png", "\\[a\\]\\(b\\).png"),
        ("a|b*c_d`e~f\\.png", "a\\|b\\*c\\_d\\`e\\~f\\\\.png"),
        ("two\n# lines.png", "two # lines.png"),
        ("a&amp;b.png", "a&amp;amp;b.png"),
    ],
    ids=["html", "link", "signs", "newline", "entity"],
)
def test_markdown_names_and_reasons_that_look_like_markup_stay_text(
    name: str, written: str
) -> None:
    assert escape_markdown(name) == written
    text = report([done(name), failed(name, name)])
    assert f"\n## {written}\n" in text
    assert f"\n| {written} | {written} |\n" in text
    assert "<" not in text


def test_markdown_tables_have_as_many_cells_in_every_line() -> None:
    text = report([done("a.png"), done("b_c.png"), failed("d.png", "no image")])
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 4  # figures, two images, failures
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "![segment 2](segments/b_c.png/02.png)" in text


def test_markdown_counts_what_it_does_not_show() -> None:
    rows = [done(f"{number}.png") for number in range(3)]
    failures = [failed(f"{number}.jpg", "no image") for number in range(MOST_FAILURES + 5)]
    text = report([*rows, *failures], most=1, link=in_bucket("gs://b/run 1"))
    assert "2 more images: see [report.html](https://storage.cloud.google.com/b/run%201/" in text
    assert "5 more: see [failed.jsonl](https://storage.cloud.google.com/b/run%201/failed" in text


def test_markdown_of_a_run_that_computed_nothing_names_no_pace() -> None:
    assert "| none computed |" in report([done("a.png")])
    assert "| 0.00 |" not in report([done("a.png")])
    assert "none computed" not in report([done("a.png")], computed=1)


def test_markdown_of_the_demo_network_warns_and_one_for_real_work_does_not() -> None:
    row, content = done("a.png")
    content |= {"checkpoint": {"name": "vit_tiny"}, "masks": []}
    text = report([(dataclasses.replace(row, masks=0), content), done("b.png")])
    assert "demo network" not in text  # the last image's network: the others were computed with it
    text = report([done("b.png"), (dataclasses.replace(row, masks=0), content)])
    assert "**vit\\_tiny is a demo network; 1 of 2 images has no mask.**" in text
    assert "\n    sam-vertex checkpoint fetch vit_b\n" in text
