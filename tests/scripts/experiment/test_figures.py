"""An experiment's amounts are read, not deciphered."""

from __future__ import annotations

import pytest

from scripts.experiment.figures import dollars


@pytest.mark.parametrize(
    ("usd", "written"),
    [
        (0, "$0.00"),
        (0.000123, "$0.00012"),
        (0.0149, "$0.015"),
        (0.5, "$0.50"),
        (1234.5, "$1,234.50"),
    ],
)
def test_small_amounts_keep_two_digits(usd: float, written: str) -> None:
    assert dollars(usd) == written
