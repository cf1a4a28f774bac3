"""A message to a client is one line that a terminal can show."""

from __future__ import annotations

import pytest

from serving.errors import RequestError, error_body


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"), ("a\u202eb", "a\\u202eb"), ("a\nb", "a b"),
        ("\x9b31m", "\\x9b31m"), ("a\x00b", "a\\x00b"), ("\u00e9\u4e2d", "\u00e9\u4e2d"),
    ],
    ids=["escape", "bidi", "line", "csi", "zero", "letters"],
)  # fmt: skip
def test_names_are_escaped_in_messages(name: str, shown: str) -> None:
    error = RequestError(f"gs://b/{name}: does not exist")
    assert error.message == f"gs://b/{shown}: does not exist"
    assert error_body(400, error.message)["error"] == {
        "code": 400, "message": error.message, "status": "INVALID_ARGUMENT",
    }  # fmt: skip
