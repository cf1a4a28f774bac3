"""The generator's masks are the official ones: networks of every shape, images of any.

Of most images the official masks are read from files (``official_masks``), of some they are
computed here. The full comparison, with more points and larger images, is
``python -m tests.benchmarks.parity``.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from serving.sam.automatic_settings import AutomaticSettings
from serving.sam.checkpoints import LoadedCheckpoint, load_checkpoint
from serving.sam.encoder import FastEncoder
from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.sam.machine.torchvision_ops import ensure_torchvision_ops
from tests.agreement import Agreement, Record, compare
from tests.benchmarks.parity import network, official, share
from tests.conftest import draw_scene
from tests.serving.sam.official_masks import (
    CASES,
    EVERYTHING,
    PICTURES,
    REMAKE,
    WIDENED,
    Case,
    assert_official,
    compute,
    read,
)

ensure_torchvision_ops()


def assert_whole(agreement: Agreement) -> None:
    """No mask is missing or extra; scores, points and boxes are the official ones."""
    assert agreement.is_whole, agreement
    assert agreement.score_difference <= 1e-3, agreement
    assert agreement.box_difference_px == 0, agreement


@pytest.fixture(scope="module")
def half() -> Engine:
    path = CHECKPOINTS["vit_tiny"].embedded_path
    assert path is not None
    return Engine(load_checkpoint(path, CHECKPOINTS["vit_tiny"]), device="cpu", precision="bf16")


@pytest.mark.parametrize("case", PICTURES, ids=lambda case: case.name)
def test_masks_of_a_picture_are_the_official_ones(engine: Engine, case: Case) -> None:
    records = engine.generate(case.draw(), case.settings(engine.checkpoint))
    assert_official(
        case, engine.checkpoint, lambda official: assert_whole(compare(records, official))
    )


def test_masks_in_half_precision_are_nearly_all_the_official_ones(half: Engine) -> None:
    """In bfloat16 scores cross thresholds at times."""
    agreements = []
    for case in PICTURES:
        records = half.generate(case.draw(), case.settings(half.checkpoint))
        agreements.append(compare(records, read(case, half.checkpoint), 0.95))
    assert sum(each.reference for each in agreements) > 50
    assert share(agreements) >= 0.95  # of about a hundred; 0.98 of many, see tests/benchmarks


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    width=st.one_of(st.integers(32, 700), st.integers(32, 3000)),
    height=st.integers(32, 700),
    kind=st.sampled_from(["scene", "one colour", "noise"]),
    chosen=st.sampled_from(["own", "everything", "nothing"]),
)
def test_any_image_gives_the_official_masks(
    engine: Engine, width: int, height: int, kind: str, chosen: str
) -> None:
    image: RgbImage = draw_scene(width, height)
    if kind == "one colour":
        image = np.full((height, width, 3), (9, 120, 200), np.uint8)
    elif kind == "noise":
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    changed: dict[str, Any] = {
        "own": {},
        "everything": EVERYTHING,
        "nothing": {"pred_iou_thresh": 1.0, "stability_score_thresh": 1.0},
    }[chosen]
    values = dataclasses.replace(engine.checkpoint.automatic, points_per_side=3, **changed)
    found = engine.generate(image, values)
    assert_whole(compare(found, official(engine.checkpoint, image, values)))


@pytest.mark.parametrize(("width", "height"), [(3000, 32), (32, 3000), (513, 33)])
def test_extreme_aspects_give_the_official_masks(engine: Engine, width: int, height: int) -> None:
    values = dataclasses.replace(engine.checkpoint.automatic, points_per_side=4, **EVERYTHING)
    image = draw_scene(width, height)
    agreement = compare(engine.generate(image, values), official(engine.checkpoint, image, values))
    assert agreement.reference == 48  # every mask of every point
    assert_whole(agreement)


def test_masks_in_the_shape_of_vit_b_are_the_official_ones() -> None:
    checkpoint = network(WIDENED.model)
    engine = Engine(checkpoint, device="cpu")
    records = engine.generate(WIDENED.draw(), WIDENED.settings(checkpoint))

    def check(official: list[Record]) -> None:
        assert len(official) >= 8, "the widened network finds too little to compare"
        assert_whole(compare(records, official))

    assert_official(WIDENED, checkpoint, check)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_official_masks_in_the_files_are_those_of_the_official_generator(case: Case) -> None:
    checkpoint = network(case.model)
    agreement = compare(compute(case, checkpoint), read(case, checkpoint))
    assert agreement.is_whole, f"{case.name}: {agreement}; {REMAKE}"
    assert agreement.score_difference <= 1e-3, agreement
    assert agreement.box_difference_px == 0, agreement


@pytest.mark.parametrize(
    ("width", "heads", "side"),
    [
        pytest.param(1280, 16, 512, id="vit_h"),
        pytest.param(1024, 16, 1024, id="vit_l-whole", marks=pytest.mark.slow),
        pytest.param(1280, 16, 1024, id="vit_h-whole", marks=pytest.mark.slow),
    ],
)
def test_encoder_in_the_width_of_the_large_networks(width: int, heads: int, side: int) -> None:
    """Two blocks of each, one in windows and one over the whole image; slowly at their own size."""
    from segment_anything.modeling import ImageEncoderViT

    torch.manual_seed(0)
    encoder = ImageEncoderViT(
        img_size=side, patch_size=16, embed_dim=width, depth=2, num_heads=heads, mlp_ratio=4,
        norm_layer=partial(nn.LayerNorm, eps=1e-6), qkv_bias=True, use_rel_pos=True,
        global_attn_indexes=[1], window_size=14, out_chans=256,
    ).eval()  # fmt: skip
    for name, parameter in encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            nn.init.normal_(parameter, std=0.1)
    image = torch.randn(1, 3, side, side)
    with torch.inference_mode():
        expected, actual = encoder(image), FastEncoder(encoder)(image)
    torch.testing.assert_close(actual, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vit_l", "vit_h"])
def test_the_large_networks_run_whole(model: str) -> None:
    """With weights from a seed: they agree whatever they find; 3 GB and a minute each."""
    from segment_anything import sam_model_registry

    from serving.sam.architectures import infer_architecture

    torch.manual_seed(0)
    sam = sam_model_registry[model]().eval()
    loaded = LoadedCheckpoint(
        sam=sam,
        name=model,
        sha256="",
        architecture=infer_architecture(sam.state_dict()),
        automatic=AutomaticSettings(),
    )
    values = AutomaticSettings(points_per_side=2, **EVERYTHING)
    image = draw_scene(320, 240)
    agreement = compare(
        Engine(loaded, device="cpu").generate(image, values), official(loaded, image, values), 0.98
    )
    assert agreement.is_whole, agreement
