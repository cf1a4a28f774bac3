"""The fast decoder gives what the official one gives, prompt by prompt and mask by mask."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from serving.sam.decoder import FastDecoder
from serving.sam.engine import Engine

TOLERANCE = 1e-4


def prompted(sam: Any, kind: str) -> torch.Tensor:
    """Prompt tokens of three prompts of one kind."""
    points = torch.tensor([[[100.0, 80.0]], [[30.0, 40.0]], [[200.0, 100.0]]])
    labels = torch.ones(3, 1, dtype=torch.int)
    boxes = torch.tensor([[10.0, 20.0, 90.0, 60.0], [0, 0, 255, 255], [100, 100, 140, 130]])
    kinds: dict[str, dict[str, Any]] = {
        "point": {"points": (points, labels), "boxes": None},
        "box": {"points": None, "boxes": boxes},
        "both": {"points": (points, labels), "boxes": boxes},
    }
    sparse, _ = sam.prompt_encoder(**kinds[kind], masks=None)
    return torch.as_tensor(sparse)


@pytest.mark.parametrize("batched", [False, True], ids=["one by one", "as on a GPU"])
@pytest.mark.parametrize("kind", ["point", "box", "both"])
def test_decoder_equals_the_official_one(engine: Engine, kind: str, batched: bool) -> None:
    sam = engine.checkpoint.sam
    torch.manual_seed(0)
    with torch.inference_mode():
        features = torch.randn(1, 128, 32, 32)
        sparse = prompted(sam, kind)
        dense = sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(3, -1, 32, 32)
        positions = sam.prompt_encoder.get_dense_pe()
        masks, scores = sam.mask_decoder.predict_masks(features, positions, sparse, dense)
        decoder = FastDecoder(sam)
        decoder.batched = batched
        decoded = decoder.decode(decoder.prepare(features), sparse)
        selected = torch.tensor([[0, 0], [0, 3], [2, 1], [2, 2]])
        logits = decoder.upscale(decoded, selected, (32, 32))
        corner = decoder.upscale(decoded, selected, (20, 9))
    torch.testing.assert_close(decoded.scores, scores, atol=TOLERANCE, rtol=TOLERANCE)
    expected = masks[selected[:, 0], selected[:, 1]]
    torch.testing.assert_close(logits, expected, atol=1e-3, rtol=TOLERANCE)
    torch.testing.assert_close(corner, expected[:, :80, :36], atol=1e-3, rtol=TOLERANCE)


def test_decoder_in_half_precision_stays_near(engine: Engine) -> None:
    sam = engine.checkpoint.sam
    torch.manual_seed(0)
    with torch.inference_mode():
        features = torch.randn(1, 128, 32, 32)
        sparse = prompted(sam, "point")
        selected = torch.tensor([[0, 1], [1, 2]])
        exact, half = FastDecoder(sam), FastDecoder(sam, torch.bfloat16)
        expected = exact.decode(exact.prepare(features), sparse)
        decoded = half.decode(half.prepare(features), sparse)
        signs = exact.upscale(expected, selected, (32, 32)) > 0
        same = (half.upscale(decoded, selected, (32, 32)) > 0) == signs
    torch.testing.assert_close(decoded.scores, expected.scores, atol=0.02, rtol=0.02)
    assert same.float().mean() > 0.97
