"""Two spellings of one value are no change."""

from __future__ import annotations

from scripts.rehearsal.google_provider.rules.resource_rules import (
    same_duration,
    same_json,
    same_link,
)


def test_equal_values_are_no_change() -> None:
    assert same_duration("7d", "604800s")
    assert not same_duration("7d", "8d")
    assert not same_duration("soon", "7d")
    assert same_link("https://www.googleapis.com/compute/v1/projects/p/x", "projects/p/x")
    assert same_json('{"a": [1, {"b": 2, "server": 3}], "etag": "x"}', '{"a": [1, {"b": 2}]}')
    assert not same_json('{"a": [1]}', '{"a": [1, 2]}')
