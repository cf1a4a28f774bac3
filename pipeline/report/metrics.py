"""What a run took: images, seconds by stage, model, device, predicted and actual time and cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.report.demo_network import is_demo_network
from pipeline.run.manifest import STAGES, ManifestRow
from serving.sam.masks import category_of


@dataclasses.dataclass(slots=True)
class RunMetrics:
    """Sums over a run's images, gathered one image at a time.

    The time of an image is what the run that computed it took, so a resumed run reports the whole.
    """

    images: int = 0
    failed: int = 0
    masks: int = 0
    without_mask: int = 0
    prompted: int = 0
    categories: dict[str, int] = dataclasses.field(default_factory=dict)
    megapixels: float = 0.0
    stage_seconds: dict[str, float] = dataclasses.field(
        default_factory=lambda: dict.fromkeys(STAGES, 0.0)
    )
    model: dict[str, str] = dataclasses.field(default_factory=dict)
    precision: str = ""
    device: str = ""

    def add(self, row: ManifestRow, content: dict[str, Any] | None) -> None:
        """Count one image; ``content`` is its masks file, or ``None`` where it failed."""
        self.images += 1
        if content is None:
            self.failed += 1
            return
        self.masks += row.masks
        self.without_mask += row.masks == 0
        self.prompted += content["mode"] == "prompted"
        for record in content["masks"]:
            name = category_of(record)
            self.categories[name] = self.categories.get(name, 0) + 1
        self.megapixels += content["width"] * content["height"] / 1e6
        for stage, seconds in content["seconds"].items():
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds
        self.model = content["checkpoint"]
        self.precision, self.device = content["precision"], content["device"]

    def to_json(self, engine: str, run: LastRun, forecast: Mapping[str, Any]) -> dict[str, Any]:
        """The content of ``metrics.json``.

        Args:
            engine: where it ran.
            run: what the last run over this output took.
            forecast: what the run was to take, as ``RunParameters.forecast``.
        """
        done = self.images - self.failed
        seconds = sum(self.stage_seconds.values())
        return {
            "images": self.images,
            "done": done,
            "failed": self.failed,
            "prompted": self.prompted,
            "masks": self.masks,
            "masks_per_category": self.categories,
            "without_mask": self.without_mask,
            "megapixels": round(self.megapixels, 3),
            "seconds": round(seconds, 3),
            "images_per_second": round(run.images_per_second, 4),
            "seconds_per_stage": {k: round(v, 3) for k, v in self.stage_seconds.items()},
            "model": self.model,
            "demo_network": is_demo_network(self.model.get("name", "")),
            "precision": self.precision,
            "device": self.device,
            "engine": engine,
            "run": run.to_json(),
            "forecast": dict(forecast),
            "cost_usd": run.cost(engine, forecast),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class LastRun:
    """What the last run over an output took, by its shards.

    Attributes:
        computed: images it computed.
        wall_seconds: from its plan to its report.
        shards: the figures of each shard, as ``ShardFigures.to_json`` gives them.
    """

    computed: int
    wall_seconds: float
    shards: Sequence[Mapping[str, Any]]

    def _sum(self, name: str) -> float:
        return float(sum(shard[name] for shard in self.shards))

    @property
    def images_per_second(self) -> float:
        """Images computed a second, from the first shard's beginning to the last one's end."""
        if not self.shards:
            return 0.0
        begun = min(float(shard["started"]) for shard in self.shards)
        ended = max(float(shard["ended"]) for shard in self.shards)
        return self.computed / max(ended - begun, 1e-3)

    @property
    def busy_share(self) -> float:
        """Share of the shards' time in which the network computed."""
        wall = self._sum("wall_seconds")
        return self._sum("busy_seconds") / wall if wall else 0.0

    def _machines(self) -> list[dict[str, Any]]:
        """What the shards computed on: each kind once, with the number of shards."""
        kinds: dict[tuple[tuple[str, str], ...], int] = {}
        for shard in self.shards:
            if shard.get("machine"):
                kind = tuple(sorted(shard["machine"].items()))
                kinds[kind] = kinds.get(kind, 0) + 1
        return [{**dict(kind), "shards": count} for kind, count in kinds.items()]

    def to_json(self) -> dict[str, Any]:
        """The figures of the last run."""
        memory = [int(shard["peak_memory_bytes"]) for shard in self.shards]
        return {
            "computed": self.computed,
            "wall_seconds": round(self.wall_seconds, 3),
            "shards": len(self.shards),
            "shard_seconds": round(self._sum("wall_seconds"), 3),
            "load_seconds": round(self._sum("load_seconds"), 3),
            "busy_share": round(self.busy_share, 4),
            "peak_memory_bytes": max(memory, default=0),
            "redrawn": sum(int(shard.get("redrawn", 0)) for shard in self.shards),
            "restarts": int(self._sum("restarts")),
            "machines": self._machines(),
        }

    def cost(self, engine: str, forecast: Mapping[str, Any]) -> dict[str, Any]:
        """Estimated and actual cost, in US dollars; empty where the run knew no price.

        The actual cost counts the time that the steps themselves saw. Google also bills the time
        that a machine takes to come up, which the steps cannot see.
        """
        if engine == "local":  # nobody bills a run on the operator's own machine
            return {"estimated": 0.0, "actual": 0.0}
        if not forecast:
            return {}
        hours = (self._sum("wall_seconds") + self._sum("load_seconds")) / 3600
        actual = hours * forecast["usd_per_shard_hour"] + forecast["usd_per_run"]
        return {
            "estimated": round(forecast["usd"], 4),
            "actual": round(actual, 4),
            "basis": forecast["basis"],
        }
