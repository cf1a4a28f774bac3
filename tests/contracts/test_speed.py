"""The README's figures of speed are those of the newest results."""

from __future__ import annotations

from tests.benchmarks.table import README, placed, speed


def test_the_tables_are_made_from_the_newest_results() -> None:
    readme = README.read_text("utf-8")
    assert "segment-anything" in speed()
    assert placed(readme) == readme, "run python -m tests.benchmarks.table --write"
