"""How long a run will take and what it will cost, with every assumption named."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from scripts.costs.prices import prices
from scripts.costs.throughput import Throughput

# Until a machine with an accelerator computes, and the two small ones before and after it
# (provisioning and pulling the image); assumed, not measured.
START_SECONDS = 300.0
COORDINATORS_SECONDS = 240.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work of a run.

    Attributes:
        automatic: images without prompts.
        prompted: images with prompts.
        megapixels: average size of an image.
        shards: pieces they are split into.
        parallel: how many shards run at once.
    """

    automatic: int
    prompted: int = 0
    megapixels: float = 1.0
    shards: int = 1
    parallel: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Time and cost of a run that has not begun.

    Attributes:
        seconds: from submission to the report.
        usd: of the whole run.
        usd_per_shard_hour: of a shard's machine.
        usd_per_run: fixed fee.
        basis: every assumption, for a reader.
    """

    seconds: float
    usd: float
    usd_per_shard_hour: float
    usd_per_run: float
    basis: str

    def to_json(self) -> dict[str, Any]:
        """Return the form in ``RunParameters.forecast``."""
        content = dataclasses.asdict(self)
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in content.items()
        }


def estimate(
    work: Work,
    automatic: Throughput,
    prompted: Throughput,
    *,
    usd_per_shard_hour: float,
    usd_per_run: float = 0.0,
    start_seconds: float = 0.0,
    coordinators_seconds: float = 0.0,
) -> Estimate:
    """Predict time and cost.

    Shards of one round run at once and take as long as their share of the images; machines bill
    from their start. The coordinators' machines, a few cents, are in the cost as shard machines
    would be.

    Args:
        work: what there is to do.
        automatic: how long an image without prompts takes.
        prompted: how long one with prompts takes.
        usd_per_shard_hour: of a shard's machine.
        usd_per_run: fixed fee.
        start_seconds: until a shard's machine computes.
        coordinators_seconds: before the first and after the last shard.
    """
    images = work.automatic + work.prompted
    shards = max(min(work.shards, images), 1)
    compute = work.automatic * automatic.seconds_for(work.megapixels)
    compute += work.prompted * prompted.seconds_for(work.megapixels)
    rounds = math.ceil(shards / max(min(work.parallel, shards), 1))
    seconds = coordinators_seconds + rounds * (start_seconds + compute / shards)
    billed = coordinators_seconds + shards * start_seconds + compute
    basis = [prices().basis] if usd_per_shard_hour or usd_per_run else []
    basis.append(f"time of an image: {automatic.basis}")
    if work.prompted and prompted.basis != automatic.basis:
        basis.append(f"with prompts: {prompted.basis}")
    if start_seconds or coordinators_seconds:
        basis.append(
            f"start-up assumed: {start_seconds:.0f} s for a shard's machine, "
            f"{coordinators_seconds:.0f} s for those of plan and report"
        )
    return Estimate(
        seconds=seconds,
        usd=billed / 3600 * usd_per_shard_hour + usd_per_run,
        usd_per_shard_hour=usd_per_shard_hour,
        usd_per_run=usd_per_run,
        basis="; ".join(basis),
    )
