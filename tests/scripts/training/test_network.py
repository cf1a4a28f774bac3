"""What training computes is what the official modules compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from scripts.training import network
from scripts.training.prompts import Batch, batch
from serving.sam.architectures import VIT_TINY
from tests.scripts.training.conftest import PLAIN

if TYPE_CHECKING:
    from segment_anything.modeling import Sam


@pytest.fixture(scope="module")
def sam() -> Sam:
    torch.manual_seed(1)
    sam = VIT_TINY.build()
    network.initialise(sam, 1)
    for name, parameter in sam.named_parameters():
        if "rel_pos" in name:  # zero at first, which would hide a wrong index
            torch.nn.init.normal_(parameter, std=0.2)
    return sam


@pytest.fixture(scope="module")
def whole() -> Batch:
    return batch(np.random.default_rng(3), PLAIN, size=2, side=256)


@torch.no_grad()
def test_training_forward_equals_the_official_modules(sam: Sam, whole: Batch) -> None:
    """On whole images, for points and boxes, to 1e-4 of logits (other order of sums)."""
    network.use_true_distances()
    ours = network.embed(sam, whole.images, whole.valid, whole.offsets)
    sparse = network.sparse_embeddings(sam, whole.coords, whole.labels, whole.offsets, 8)
    masks, ious = network.decode(sam, ours, sparse, whole.offsets)
    pixels = (whole.images.permute(0, 3, 1, 2) - sam.pixel_mean) / sam.pixel_std
    official = sam.image_encoder(pixels * whole.valid[:, None])
    torch.testing.assert_close(ours, official, atol=1e-4, rtol=1e-4)
    for image in range(2):
        for prompt in range(8):
            box = int(whole.labels[image, prompt, 0]) == 2
            coords = whole.coords[image, prompt]
            tokens, dense = sam.prompt_encoder(
                points=None if box else (coords[None, :1], torch.ones(1, 1)),
                boxes=coords.reshape(1, 4) if box else None,
                masks=None,
            )
            logits, score = sam.mask_decoder.predict_masks(
                official[image : image + 1], sam.prompt_encoder.get_dense_pe(), tokens, dense
            )
            torch.testing.assert_close(masks[image, prompt], logits[0], atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(ious[image, prompt], score[0], atol=1e-4, rtol=1e-4)
