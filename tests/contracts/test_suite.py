"""The suite's own rules hold: its tables name what is there, and nothing skips unforeseen in CI."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.checkout import ROOT
from tests.conftest import find_chromium
from tests.suite import NOT_UNIT, SECONDS, group_of, is_unit


@pytest.mark.parametrize("entry", sorted({*NOT_UNIT, *SECONDS}))
def test_table_of_tests_names_only_what_is_there(entry: str) -> None:
    path, _, function = entry.partition("::")
    assert (ROOT / path).exists(), "tests/suite.py names a file that has moved"
    if function:
        function = function.partition("[")[0]  # without the parameter of one of its cases
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_group_is_the_narrowest_entry_or_the_file() -> None:
    assert group_of("tests/a/test_b.py::test_c[d::e]") == "tests/a/test_b.py"
    assert group_of("tests/scripts/rehearsal/vertex_ai/test_x.py::test_y").endswith("vertex_ai")
    assert is_unit("tests/a/test_b.py::test_c") and not is_unit("tests/journeys/test_b.py::test_c")


@pytest.mark.parametrize(
    ("reason", "ci", "line"),
    [
        ("no time today", "1", "1 error"),
        ("root may write everywhere", "1", "1 skipped"),
        ("no time today", "", "1 skipped"),
    ],
)
def test_skip_that_is_not_foreseen_fails_in_ci(
    tmp_path: Path, reason: str, ci: str, line: str
) -> None:
    text = f"import pytest\n@pytest.mark.skipif(True, reason={reason!r})\ndef test_it(): pass\n"
    (tmp_path / "test_it.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider",
         "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "CI": ci},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert line in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("required", "outcome"), [(True, pytest.fail.Exception), (False, pytest.skip.Exception)]
)
def test_page_without_a_browser_fails_where_it_must_not_skip(
    tmp_path: Path, required: bool, outcome: type[Exception]
) -> None:
    with pytest.raises(outcome, match="apt-get install chromium"):
        find_chromium(str(tmp_path), required=required)
    program = tmp_path / "google-chrome"
    program.touch(mode=0o755)
    assert find_chromium(str(tmp_path), required=required) == str(program)
