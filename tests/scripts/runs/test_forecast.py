"""What follows from a run's estimate before it is submitted."""

from __future__ import annotations

import pytest

from scripts.costs.estimates import Estimate
from scripts.runs.forecast import most_shard_seconds


@pytest.mark.parametrize(
    ("seconds", "shards", "parallel", "most"),
    [(60, 1, 1, 3600), (7200, 1, 1, 72_000), (7200, 4, 2, 36_000), (7200, 4, 8, 72_000)],
)
def test_shard_may_take_ten_times_its_estimate_and_an_hour_at_least(
    seconds: float, shards: int, parallel: int, most: float
) -> None:
    estimated = Estimate(seconds=seconds, usd=1, usd_per_shard_hour=1, usd_per_run=0, basis="")
    assert most_shard_seconds(estimated, shards, parallel) == most
