"""At start half precision is compared with float32, and is used only where it agrees."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from serving.sam.checkpoints import load_checkpoint
from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.precision_check import settle_precision
from serving.sam.prompts import Prompt

POINT = Prompt(points=((80.0, 95.0),), labels=(1,))


def test_half_precision_that_agrees_stays(scene: RgbImage) -> None:
    engine = Engine(load_checkpoint("vit_tiny"), device="cpu", precision="bf16")
    before = engine.predict(engine.embed(scene), POINT, multimask_output=False)
    assert settle_precision(engine, scene, POINT)
    assert engine.precision == "bf16"
    after = engine.predict(engine.embed(scene), POINT, multimask_output=False)
    np.testing.assert_array_equal(before.logits, after.logits)


def test_half_precision_that_does_not_agree_is_replaced_with_a_warning(
    engine: Engine, scene: RgbImage, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = load_checkpoint("vit_tiny")
    with torch.inference_mode():
        # bfloat16 has 8 digits: beside 70,000 it loses all that the block computes.
        block = checkpoint.sam.image_encoder.blocks[1].mlp
        block.lin1.bias += 70_000
        block.lin2.bias -= 70_000 * block.lin2.weight.sum(1)
    half = Engine(checkpoint, device="cpu", precision="bf16")
    with caplog.at_level(logging.WARNING):
        assert not settle_precision(half, scene, POINT)
    assert half.precision == "fp32"
    assert "bf16 is no good here and float32 is used instead" in caplog.text
    exact = Engine(checkpoint, device="cpu", precision="fp32")
    np.testing.assert_array_equal(
        half.predict(half.embed(scene), POINT, multimask_output=False).masks,
        exact.predict(exact.embed(scene), POINT, multimask_output=False).masks,
    )
