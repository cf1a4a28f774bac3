"""Quantities read as people say them."""

from __future__ import annotations

from scripts.terminal.amounts import duration


def test_duration_reads_as_people_say_it() -> None:
    assert [duration(s) for s in (5, 600, 9000)] == ["5 s", "10 min", "2.5 h"]
    assert duration(86400 * 14699) == "14699 days"
