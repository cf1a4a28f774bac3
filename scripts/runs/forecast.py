"""How long a run on Vertex AI will take and what it will cost, before anything bills."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from scripts.cloud.vertex_sdk import in_rehearsal
from scripts.costs.estimates import COORDINATORS_SECONDS, START_SECONDS, Estimate, Work, estimate
from scripts.costs.prices import prices
from scripts.costs.throughput import throughput, vertex_machine
from scripts.terminal.amounts import duration

if TYPE_CHECKING:
    from pipeline.machines import Machine
    from pipeline.run.input_images import InputImage

_REHEARSED_START_SECONDS = 5.0
_LEAST_LIMIT_SECONDS = 3600.0
_PATIENCE = 10.0  # times the estimate


def measured_as(machine: Machine) -> str:
    """Return the name under which this machine remembers the times of such a machine."""
    return vertex_machine(machine.cpu, machine.accelerator) + (
        " (rehearsed)" if in_rehearsal() else ""
    )


def forecast(
    images: Sequence[InputImage],
    *,
    machine: Machine,
    checkpoint: str,
    shards: int,
    parallel: int,
) -> Estimate:
    """Estimate a run that computes every image.

    Args:
        images: what it segments.
        machine: what a shard asks for.
        checkpoint: its name, which tells remembered times apart.
        shards: pieces the images are split into.
        parallel: shards that run at once.
    """
    prompted = sum(bool(image.prompts) for image in images)
    work = Work(
        automatic=len(images) - prompted, prompted=prompted, shards=shards, parallel=parallel
    )
    key = measured_as(machine)
    spot = machine.capacity == "spot"
    hour = prices().shard_hour(
        float(machine.cpu), machine.accelerator, machine.accelerators, spot=spot
    )
    rehearsed = in_rehearsal()
    estimated = estimate(
        work,
        throughput(key, checkpoint, "automatic"),
        throughput(key, checkpoint, "prompted"),
        usd_per_shard_hour=hour or 0.0,
        usd_per_run=prices().usd["pipeline_run"],
        start_seconds=_REHEARSED_START_SECONDS if rehearsed else START_SECONDS,
        coordinators_seconds=_REHEARSED_START_SECONDS if rehearsed else COORDINATORS_SECONDS,
    )
    if hour is None:
        note = f"no price is known of {machine.cpu} CPUs with {machine.accelerator}: the fee alone"
        return dataclasses.replace(estimated, basis=f"{estimated.basis}; {note}")
    return estimated


def most_shard_seconds(estimated: Estimate, shards: int, parallel: int) -> float:
    """Return after how long a shard must have gone wrong, in seconds of computing.

    Args:
        estimated: the run's time and cost.
        shards: pieces the images are split into.
        parallel: shards that run at once.
    """
    rounds = math.ceil(shards / max(parallel, 1))
    return max(_LEAST_LIMIT_SECONDS, _PATIENCE * estimated.seconds / rounds)


def describe(estimated: Estimate, machines: int) -> str:
    """Return the lines that an operator reads.

    Args:
        estimated: the run's time and cost.
        machines: how many compute at once.
    """
    noun = "machine" if machines == 1 else "machines"
    return (
        f"estimate: {duration(estimated.seconds)}, ${estimated.usd:.2f} on {machines} {noun}\n"
        f"  {estimated.basis}"
    )
