"""MobileSAM is the official MobileSAM: embeddings, prompted and automatic masks, weights files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from serving.sam.architectures import MOBILE_SAM
from serving.sam.checkpoints import LoadedCheckpoint, load_checkpoint
from serving.sam.engine import Engine
from serving.sam.errors import CheckpointError
from serving.sam.families.table import MOBILE
from serving.sam.machine.devices import Precision
from serving.sam.prompts import Prompt
from tests.agreement import compare
from tests.conftest import draw_scene
from tests.families import mask_iou
from tests.mobile_sam import mobile_sam, official_mobile_sam
from tests.stand_ins.pretend_gpu import pretend
from tests.widened import SETTINGS, widened

if TYPE_CHECKING:
    from segment_anything.modeling import Sam

POINT = Prompt(points=((300.0, 220.0),), labels=(1,))
BOX = Prompt(
    points=((120.0, 100.0), (20.0, 20.0)), labels=(1, 0), box_xyxy=(60.0, 50.0, 300.0, 260.0)
)


@pytest.fixture(scope="module")
def official() -> Sam:
    return official_mobile_sam()


@pytest.fixture(scope="module")
def path(official: Sam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as the published one is: with the classifier and the counts of the training."""
    state = official.state_dict()
    assert {"image_encoder.head.weight", "image_encoder.norm_head.bias"} < set(state)
    assert any(name.endswith("num_batches_tracked") for name in state)
    path = tmp_path_factory.mktemp("mobile") / "mine.pt"
    torch.save(state, path)
    return path


def test_a_file_is_known_by_its_weights_and_embeds_and_segments_as_the_official_code(
    official: Sam, path: Path
) -> None:
    engine = Engine.load(path, device="cpu", precision="fp32")
    assert engine.checkpoint.family == MOBILE
    assert engine.checkpoint.architecture == MOBILE_SAM
    image = draw_scene(400, 300)
    predictor = mobile_sam().SamPredictor(official)
    predictor.set_image(image)
    embedding = engine.embed(image)
    assert (embedding.features - predictor.features).abs().max() < 1e-4  # of a deviation of 1
    for prompt, several in ((POINT, True), (BOX, False)):
        masks, scores, logits = predictor.predict(
            np.array(prompt.points),
            np.array(prompt.labels),
            None if prompt.box_xyxy is None else np.array(prompt.box_xyxy),
            multimask_output=several,
        )
        found = engine.predict(embedding, prompt, multimask_output=several)
        np.testing.assert_allclose(found.scores, scores, atol=1e-4)
        np.testing.assert_allclose(found.logits, logits, atol=1e-3)
        assert all(
            mask_iou(ours, theirs) >= 0.99 for ours, theirs in zip(found.masks, masks, strict=True)
        )
        assert masks.any()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("image_encoder.layers.2.blocks.3.attn.attention_biases", "missing parameter"),
        ("image_encoder.layers.1.downsample.conv2.bn.running_var", "missing parameter"),
    ],
)
def test_half_of_its_weights_are_refused(
    path: Path, tmp_path: Path, name: str, reason: str
) -> None:
    state = torch.load(path, weights_only=True)
    del state[name]
    torch.save(state, tmp_path / "half.pt")
    with pytest.raises(CheckpointError, match=f"{reason} '{name}'"):
        load_checkpoint(tmp_path / "half.pt")
    with pytest.raises(CheckpointError, match="not those of a network of the family medsam"):
        load_checkpoint(path, family="medsam")


def test_a_gpu_computes_it_in_fp16_and_is_waited_for_once_an_image(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = draw_scene(400, 300)
    exact = Engine(load_checkpoint(path), device="cpu", precision="fp32")
    masks = exact.predict(exact.embed(image), BOX, multimask_output=False).masks
    checkpoint = load_checkpoint(path)
    for gpu in pretend(monkeypatch):
        engine = Engine(checkpoint, device="cuda:0", precision="fp16")
        embedding = engine.embed(image)
        gpu.reset()
        embedding = engine.embed(image)
        assert sum(gpu.waits.values()) <= 1, gpu.waits
        assert sum(gpu.kernels.values()) <= 650
        half = engine.predict(embedding, BOX, multimask_output=False).masks
        assert mask_iou(half[0], masks[0]) >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "iou", "share"), [("fp32", 0.99, 0.99), ("bf16", 0.9, 0.8)])
def test_automatic_masks_are_the_official_ones(
    precision: Precision, iou: float, share: float
) -> None:
    """With a decoder that finds something: that of the widened checkpoint."""
    decoder = widened("vit_b")
    official = official_mobile_sam(decoder.sam)
    own = MOBILE_SAM.build()
    own.load_state_dict(
        {
            name: value
            for name, value in official.state_dict().items()
            if not MOBILE_SAM.is_unused(name)
        }
    )
    checkpoint: LoadedCheckpoint = dataclasses.replace(
        decoder, sam=own, architecture=MOBILE_SAM, family=MOBILE
    )
    settings = dataclasses.replace(
        SETTINGS, points_per_side=8, pred_iou_thresh=0.0, stability_score_thresh=0.5
    )
    image = draw_scene(500, 360)
    expected = (
        mobile_sam()
        .SamAutomaticMaskGenerator(official, output_mode="coco_rle", **settings.to_json())
        .generate(image)
    )
    engine = Engine(checkpoint, device="cpu", precision=precision)
    agreement = compare(engine.generate(image, settings), expected, iou)
    assert agreement.reference >= 15
    assert agreement.matched >= share * max(agreement.reference, agreement.found)
