"""Values survive the wire; a dotted name finds its way through nested blocks."""

from __future__ import annotations

import pytest

from scripts.rehearsal.google_provider.schema.values import UNKNOWN, decode, encode, leaves


def test_values_survive_the_wire() -> None:
    value = {"a": [1, 2.5, None, UNKNOWN, {"b": True}], "c": "ä"}
    assert decode(encode(value)) == value
    assert decode(b"") is None
    assert decode(b"\xc7\x03\x0c\x81\x01\xc3") is UNKNOWN  # unknown, refined to "not null"
    with pytest.raises(TypeError, match="no Terraform value"):
        encode(object())


def test_leaves_go_through_blocks() -> None:
    value = {"rule": [{"age": 1}, {"age": None}], "later": UNKNOWN, "none": None}
    assert list(leaves(value, "rule.age")) == [(("rule", 0, "age"), 1)]
    assert list(leaves(value, "later.x")) == [(("later",), UNKNOWN)]
    assert list(leaves(value, "none.x")) == []
