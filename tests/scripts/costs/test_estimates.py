"""Estimates: arithmetic that can be checked by hand, and where each figure comes from."""

from __future__ import annotations

import pytest

from scripts.costs.estimates import Work, estimate
from scripts.costs.throughput import Throughput


def test_estimate_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """1000 images of 3 s and 200 prompted of 0.5 s on four machines, two at a time."""
    estimated = estimate(
        Work(automatic=1000, prompted=200, shards=4, parallel=2),
        Throughput(seconds=3.0, basis="here"),
        Throughput(seconds=0.5, basis="there"),
        usd_per_shard_hour=0.6,
        usd_per_run=0.03,
        start_seconds=300,
        coordinators_seconds=120,
    )
    compute = 1000 * 3.0 + 200 * 0.5
    assert estimated.seconds == pytest.approx(120 + 2 * (300 + compute / 4))
    assert estimated.usd == pytest.approx((120 + 4 * 300 + compute) / 3600 * 0.6 + 0.03)
    for text in ("here", "there", "2026-10-04", "300 s for a shard's machine"):
        assert text in estimated.basis


def test_more_shards_than_images_cost_nothing_more() -> None:
    times = Throughput(seconds=1.0, basis="x")
    few, many = (
        estimate(Work(automatic=3, shards=n, parallel=n), times, times, usd_per_shard_hour=1.0)
        for n in (3, 50)
    )
    assert few.usd == many.usd and few.seconds == many.seconds
