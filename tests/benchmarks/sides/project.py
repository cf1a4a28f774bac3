"""Ours, the official code, and the way the project's predecessor used that: one of them.

python -m tests.benchmarks.sides.project ours WEIGHTS fp32 cpu
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from serving.sam.machine.torchvision_ops import ensure_torchvision_ops

ensure_torchvision_ops()

import torch  # noqa: E402
from segment_anything import SamAutomaticMaskGenerator, SamPredictor  # noqa: E402

from serving.sam.checkpoints import load_checkpoint  # noqa: E402
from serving.sam.engine import Engine  # noqa: E402
from serving.sam.machine.devices import Precision  # noqa: E402
from serving.sam.prompts import Prompt  # noqa: E402
from tests.benchmarks.sides.loop import serve  # noqa: E402
from tests.widened import SETTINGS  # noqa: E402

Request = dict[str, Any]


class Side:
    """One image at a time, loaded before the clock starts."""

    def __init__(self, weights: str, device: str = "cpu") -> None:
        self.device = device
        self.checkpoint = load_checkpoint(Path(weights), family="sam")
        self.image = np.zeros((1, 1, 3), np.uint8)
        self.records: list[Any] = []

    def load(self, request: Request) -> None:
        self.image = np.load(request["image"])

    def settings(self, request: Request) -> dict[str, Any]:
        names = ("pred_iou_thresh", "stability_score_thresh")
        values = {name: getattr(SETTINGS, name) for name in names}
        return {**values, "points_per_side": request["points_per_side"]}

    def write_records(self, request: Request) -> None:
        Path(request["path"]).write_text(json.dumps(self.records))


class Ours(Side):
    """The engine."""

    def __init__(self, weights: str, precision: Precision, device: str = "cpu") -> None:
        super().__init__(weights, device)
        self.engine = Engine(self.checkpoint, device=device, precision=precision)

    def automatic(self, request: Request) -> int:
        settings = type(SETTINGS)(**self.settings(request))
        self.records = list(self.engine.generate(self.image, settings))
        return len(self.records)

    def embed(self, _: Request) -> None:
        self.embedding = self.engine.embed(self.image)

    def point(self, request: Request) -> None:
        self.engine.predict(self.embedding, _prompt(request["point"]), multimask_output=True)

    def decoder(self, request: Request) -> None:
        """The mask decoder alone: one point, three masks at low resolution."""
        network, sam = self.engine._network, self.checkpoint.sam
        with torch.inference_mode():
            sparse, _ = sam.prompt_encoder(
                points=_one(request["point"], self.device), boxes=None, masks=None
            )
            decoded = network.decoder.decode(self.embedding.shared, sparse)
            side = self.embedding.features.shape[-1]
            wanted = torch.tensor([[0, 1], [0, 2], [0, 3]], device=self.engine.device)
            network.decoder.upscale(decoded, wanted, (side, side))

    def many(self, request: Request) -> int:
        prompts = [_prompt(point) for point in request["points"]]
        predictions = self.engine.predictions(self.embedding, prompts, multimask_output=True)
        return sum(1 for _ in predictions)


class Official(Side):
    """``segment-anything`` 1.0, unmodified."""

    def __init__(self, weights: str, device: str = "cpu") -> None:
        super().__init__(weights, device)
        self.sam = self.checkpoint.sam.to(device)
        self.predictor = SamPredictor(self.sam)

    def automatic(self, request: Request) -> int:
        generator = SamAutomaticMaskGenerator(
            self.sam, output_mode="coco_rle", **self.settings(request)
        )
        self.records = generator.generate(self.image)
        return len(self.records)

    def embed(self, _: Request) -> None:
        self.predictor.set_image(self.image)

    def point(self, request: Request) -> None:
        self.predictor.predict(np.array([request["point"]]), np.array([1]))

    def decoder(self, request: Request) -> None:
        sam = self.sam
        with torch.inference_mode():
            sparse, dense = sam.prompt_encoder(
                points=_one(request["point"], self.device), boxes=None, masks=None
            )
            sam.mask_decoder(
                self.predictor.features, sam.prompt_encoder.get_dense_pe(), sparse, dense, True
            )

    def many(self, request: Request) -> int:
        for point in request["points"]:
            self.predictor.predict(np.array([point]), np.array([1]))
        return len(request["points"])


class Original(Official):
    """The predecessor's way: objects made for each request, masks as nested lists of numbers."""

    def automatic(self, request: Request) -> int:
        generator = SamAutomaticMaskGenerator(self.sam, **self.settings(request))
        records = generator.generate(self.image)
        self.reply = json.dumps(
            [{**record, "segmentation": record["segmentation"].tolist()} for record in records]
        )
        return len(records)

    def step(self, request: Request) -> int:
        """Its pipeline's step: one image after another, all results in memory until the end."""
        generator = SamAutomaticMaskGenerator(self.sam, **self.settings(request))
        kept = [(self.image, generator.generate(self.image)) for _ in range(request["images"])]
        return sum(len(records) for _, records in kept)

    def point(self, request: Request) -> None:
        predictor = SamPredictor(self.sam)
        predictor.set_image(self.image)
        masks, scores, logits = predictor.predict(np.array([request["point"]]), np.array([1]))
        self.reply = json.dumps([value.tolist() for value in (masks, scores, logits)])


def _prompt(point: list[float]) -> Prompt:
    return Prompt(points=((point[0], point[1]),), labels=(1,))


def _one(point: list[float], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    coordinates = torch.tensor([[point]], device=device)
    return coordinates, torch.ones(1, 1, dtype=torch.int, device=device)


def main() -> None:
    """Start one side."""
    name, weights, precision, device = sys.argv[1:5]
    side: Side
    if name == "ours":
        side = Ours(weights, precision, device)  # type: ignore[arg-type]
    else:
        side = {"official": Official, "original": Original}[name](weights, device)
    names = ("load", "automatic", "embed", "point", "decoder", "many", "step", "write_records")
    serve({name: getattr(side, name) for name in names if hasattr(side, name)})


if __name__ == "__main__":
    main()
