"""Weights that compute NaN: refused by name, never zero masks; 16 bits that overflow: float32."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from serving.predictor import SegmentationPredictor
from serving.sam.checkpoints import load_checkpoint
from serving.sam.engine import Engine
from serving.sam.errors import NotFiniteError
from serving.sam.families.table import SAM
from serving.sam.image_embedder import ImageEmbedder
from serving.sam.images import RgbImage
from serving.sam.prompts import Prompt

POINT = Prompt(points=((80.0, 95.0),), labels=(1,))
# Finite, so that the file loads; their products overflow. And what is computed with them.
HUGE = {
    "image_encoder.patch_embed.proj.weight": "image embeddings",
    "mask_decoder.iou_prediction_head.layers.1.weight": "scores",
    "mask_decoder.output_hypernetworks_mlps.1.layers.2.bias": "masks",
}


def with_huge(folder: Path, name: str) -> Path:
    """The embedded checkpoint with numbers of 1e38 in one parameter."""
    state = load_checkpoint("vit_tiny").sam.state_dict()
    path = folder / "huge.pth"
    torch.save({**state, name: torch.full_like(state[name], 1e38)}, path)
    return path


@pytest.mark.parametrize("name", HUGE)
def test_masks_that_are_not_finite_are_an_error_by_name(
    tmp_path: Path, scene: RgbImage, name: str
) -> None:
    engine = Engine.load(with_huge(tmp_path, name), device="cpu")
    with pytest.raises(NotFiniteError, match=f"the network's {HUGE[name]} are not finite"):
        engine.predict(engine.embed(scene), POINT, multimask_output=True)
    with pytest.raises(NotFiniteError, match="not finite"):
        engine.generate(scene)


def test_a_server_does_not_start_with_weights_that_compute_nan(tmp_path: Path) -> None:
    path = with_huge(tmp_path, "mask_decoder.iou_prediction_head.layers.1.weight")
    with pytest.raises(NotFiniteError, match="scores are not finite"):
        SegmentationPredictor().load(str(path))


def test_an_image_that_overflows_in_16_bits_is_embedded_in_float32(
    scene: RgbImage, caplog: pytest.LogCaptureFixture
) -> None:
    sam = load_checkpoint("vit_tiny").sam
    with torch.inference_mode():
        block = sam.image_encoder.blocks[1].mlp
        block.lin1.bias += 70_000  # more than float16 holds, and taken back behind the GELU
        block.lin2.bias -= 70_000 * block.lin2.weight.sum(1)
        expected, _ = ImageEmbedder(sam, SAM, torch.float32)(scene)
        with caplog.at_level(logging.WARNING):
            embedded, _ = ImageEmbedder(sam, SAM, torch.float16)(scene)
    assert torch.equal(embedded, expected)
    assert "embedded in float32" in caplog.text
