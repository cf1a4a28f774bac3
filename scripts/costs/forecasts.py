"""Forecasts of a run that an operator describes by numbers, here or on Vertex AI."""

from __future__ import annotations

import dataclasses

from scripts.costs.estimates import COORDINATORS_SECONDS, Estimate, Work, estimate
from scripts.costs.prices import prices
from scripts.costs.throughput import THIS_MACHINE, Mode, throughput, vertex_machine
from scripts.terminal.errors import OperatorError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShardMachine:
    """The machine on Vertex AI that computes a shard.

    Attributes:
        cpus: of the machine.
        accelerator: Vertex's name of it; empty for none.
        capacity: ``standard``, ``spot`` or ``flex``.
        region: where it runs; empty for the one of the price table.
        start_seconds: until it computes.
    """

    cpus: int
    accelerator: str
    capacity: str
    region: str
    start_seconds: float

    def usd_an_hour(self) -> float:
        """Its list price.

        Raises:
            OperatorError: no price is known.
        """
        spot = self.capacity == "spot"
        hour = prices().shard_hour(self.cpus, self.accelerator, 1, spot=spot)
        if hour is None:
            raise OperatorError(
                f"no price is known of {self.cpus} CPUs with {self.accelerator}",
                hint="add pipeline_..._hour to a table of yours and name it in SAM_PRICES",
            )
        return hour

    def reservations(self) -> list[str]:
        """What the price leaves open."""
        notes = []
        if self.region and self.region != prices().region:
            notes.append(f"prices of {self.region} are not in the table")
        if self.capacity == "spot":
            notes.append("spot prices change monthly; what is taken away is computed again")
        elif self.capacity == "flex":
            notes.append("at the standard price, as no other is known for flex")
        return notes


def forecast_on_vertex(
    work: Work, checkpoint: str, machine: ShardMachine, seconds_per_image: float = 0.0
) -> Estimate:
    """Estimate a run on Vertex AI.

    Args:
        work: images and shards.
        checkpoint: its name.
        machine: of each shard.
        seconds_per_image: what the operator measured; 0 for the best known figure.

    Raises:
        OperatorError: no price is known of the machine.
    """
    key = vertex_machine(machine.cpus, machine.accelerator)
    return estimate(
        work,
        throughput(key, checkpoint, "automatic", seconds_per_image),
        throughput(key, checkpoint, "prompted", seconds_per_image),
        usd_per_shard_hour=machine.usd_an_hour(),
        usd_per_run=prices().usd["pipeline_run"],
        start_seconds=machine.start_seconds,
        coordinators_seconds=COORDINATORS_SECONDS,
    )


def forecast_here(work: Work, checkpoint: str, seconds_per_image: float = 0.0) -> Estimate:
    """Estimate a run on this machine, which costs nothing and computes a shard at a time.

    Args:
        work: at least one image; shards are computed one after the other.
        checkpoint: its name.
        seconds_per_image: what the operator measured; 0 for what earlier runs took here.

    Raises:
        OperatorError: no run on this machine was long enough to know.
    """
    counts: dict[Mode, int] = {"automatic": work.automatic, "prompted": work.prompted}
    times = {
        mode: throughput(THIS_MACHINE, checkpoint, mode, seconds_per_image)
        for mode, count in counts.items()
        if count
    }
    unused = next(iter(times.values()))
    return estimate(
        dataclasses.replace(work, shards=1, parallel=1),
        times.get("automatic", unused),
        times.get("prompted", unused),
        usd_per_shard_hour=0.0,
    )
