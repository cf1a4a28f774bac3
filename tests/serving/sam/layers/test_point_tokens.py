"""Tokens of prompts are the official encoder's, digit by digit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serving.sam.engine import Engine
from serving.sam.layers.point_tokens import FOREGROUND, NO_POINT, PointTokens


@pytest.mark.parametrize("kind", ["point", "points", "box", "both"])
def test_tokens_are_the_official_ones(engine: Engine, kind: str) -> None:
    encoder = engine.checkpoint.sam.prompt_encoder
    random = np.random.default_rng(0)
    many = 1 if kind == "point" else 3
    points = random.uniform(0, 256, (5, many, 2)).astype(np.float32)
    labels = random.integers(0, 2, (5, many))
    boxes = random.uniform(0, 256, (5, 2, 2)).astype(np.float32)
    pair = (torch.from_numpy(points), torch.from_numpy(labels)) if kind != "box" else None
    corners = torch.from_numpy(boxes).reshape(5, 4) if kind in ("box", "both") else None
    with torch.inference_mode():
        expected, _ = encoder(points=pair, boxes=corners, masks=None)
        found = PointTokens(encoder).of_prompts(
            points if pair else None, labels if pair else None, None if corners is None else boxes
        )
    assert torch.equal(found, expected)


def test_points_of_a_grid_keep_their_float64_until_they_are_encoded(engine: Engine) -> None:
    encoder = engine.checkpoint.sam.prompt_encoder
    points = np.random.default_rng(1).uniform(0, 256, (50, 1, 2))
    with torch.inference_mode():
        expected, _ = encoder(
            points=(torch.from_numpy(points), torch.ones(50, 1, dtype=torch.int)),
            boxes=None,
            masks=None,
        )
        found = PointTokens(encoder)(
            np.concatenate([points, np.zeros_like(points)], 1),
            np.tile([FOREGROUND, NO_POINT], (50, 1)),
        )
    assert torch.equal(found, expected)
