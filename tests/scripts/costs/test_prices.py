"""The table of list prices: dated, with a source for each, silent where it knows none."""

from __future__ import annotations

import json

import pytest

from scripts.costs import prices


def test_unknown_machine_has_no_price() -> None:
    assert prices.prices().serving_hour("n1-standard-4", "NVIDIA_TESLA_T4", 1) == pytest.approx(
        0.639, abs=1e-3
    )
    assert prices.prices().serving_hour("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1) is None


def test_every_price_names_its_source() -> None:
    content = json.loads(prices.TABLE.read_text("utf-8"))
    assert content["as_of"] and content["leaves_out"]
    assert all(row["value"] > 0 and row["source"] for row in content["usd"].values())
