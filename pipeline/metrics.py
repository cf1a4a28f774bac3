"""What a run took: images, seconds by stage, model, device, cost."""

from __future__ import annotations

import dataclasses
from typing import Any

from pipeline.manifest import STAGES, ManifestRow


@dataclasses.dataclass(slots=True)
class RunMetrics:
    """Sums over a run's images, gathered one image at a time.

    Times are those of the run that computed each image, so a resumed run reports the whole.
    """

    images: int = 0
    failed: int = 0
    masks: int = 0
    prompted: int = 0
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
        self.prompted += content["mode"] == "prompted"
        self.megapixels += content["width"] * content["height"] / 1e6
        for stage, seconds in content["seconds"].items():
            self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds
        self.model = content["checkpoint"]
        self.precision, self.device = content["precision"], content["device"]

    def to_json(self, engine: str) -> dict[str, Any]:
        """The content of ``metrics.json``."""
        done = self.images - self.failed
        seconds = sum(self.stage_seconds.values())
        return {
            "images": self.images,
            "done": done,
            "failed": self.failed,
            "prompted": self.prompted,
            "masks": self.masks,
            "megapixels": round(self.megapixels, 3),
            "seconds": round(seconds, 3),
            "images_per_second": round(done / seconds, 4) if seconds else 0.0,
            "seconds_per_stage": {k: round(v, 3) for k, v in self.stage_seconds.items()},
            "model": self.model,
            "precision": self.precision,
            "device": self.device,
            "engine": engine,
            # A run on one's own machine is billed by nobody.
            "cost_usd": {"estimated": 0.0, "actual": 0.0} if engine == "local" else {},
        }
