"""Families: what each does to an image is what its own code does."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from serving.sam.architectures import VIT_B, VIT_H
from serving.sam.checkpoints import LoadedCheckpoint, load_checkpoint
from serving.sam.engine import Engine
from serving.sam.errors import CheckpointError, ParameterError, PromptError
from serving.sam.families.preprocessing import Frame
from serving.sam.families.table import FAMILIES, MEDSAM, SAM, choose_family
from serving.sam.images import RgbImage
from serving.sam.known_checkpoints import CHECKPOINTS
from serving.sam.masks import decode_mask
from serving.sam.prompts import Prompt
from tests.conftest import draw_scene
from tests.families import BOXES, mask_iou, medsam_masks, medsam_square
from tests.widened import widened


def test_a_family_is_found_by_its_name() -> None:
    assert all(FAMILIES[name].name == name for name in FAMILIES)
    assert all(family.source and family.licence for family in FAMILIES.values())


@pytest.mark.parametrize(("width", "height"), [(160, 120), (33, 500), (256, 256), (301, 7)])
def test_an_image_of_sam_is_prepared_as_the_official_code_does(width: int, height: int) -> None:
    image: RgbImage = draw_scene(width, height)
    sam = load_checkpoint("vit_tiny").sam
    from segment_anything.utils.transforms import ResizeLongestSide

    transform = ResizeLongestSide(256)
    scaled = torch.as_tensor(transform.apply_image(image)).permute(2, 0, 1)[None]
    preprocessing = SAM.preprocessing(256)
    square = preprocessing.square(preprocessing.shrink(image), sam.device)
    assert torch.equal(square, sam.preprocess(scaled))
    frame = preprocessing.frame((height, width))
    assert frame == Frame(256, (scaled.shape[2], scaled.shape[3]), (height, width))
    points = np.array([[[0.0, 0.0], [width - 1.0, height - 1.0], [width / 3, height / 7]]])
    expected = transform.apply_coords(points, (height, width))
    np.testing.assert_allclose(frame.place(points), expected, rtol=1e-15)


def test_an_image_of_which_nothing_would_be_left_is_refused() -> None:
    with pytest.raises(ParameterError, match="5000x1 pixels; brought to 256"):
        SAM.preprocessing(256).frame((1, 5000))


def as_medsam(checkpoint: LoadedCheckpoint) -> LoadedCheckpoint:
    return dataclasses.replace(checkpoint, family=MEDSAM)


@pytest.mark.parametrize("size", [(160, 120), (700, 123), (300, 1100), (256, 256), (7, 1)])
def test_an_image_of_medsam_is_prepared_as_its_own_code_does(size: tuple[int, int]) -> None:
    image = draw_scene(*size).copy()
    image[:1] = np.random.default_rng(0).integers(0, 256, image[:1].shape)
    preprocessing = MEDSAM.preprocessing(256)
    ours = preprocessing.square(preprocessing.shrink(image), torch.device("cpu"))
    expected = medsam_square(image, 256)
    span = 1 / (int(image.max()) - int(image.min()))
    # One level at most: scikit-image's last digit decides about 199.99999999999997.
    assert (ours - expected).abs().max() <= 1.2 * span
    assert (ours - expected).abs().mean() < 0.1 * span
    assert MEDSAM.preprocessing(256).frame((size[1], size[0])).input_size_hw == (256, 256)


def test_masks_of_boxes_are_those_of_medsams_own_code() -> None:
    """One box alone and several together, by both ways to ask; not as SAM prepares images."""
    checkpoint = load_checkpoint("vit_tiny")
    image = draw_scene(160, 120)
    expected = medsam_masks(checkpoint, image, BOXES)
    prompts = [Prompt(box_xyxy=box) for box in BOXES]
    medsam, sam = (Engine(c, device="cpu") for c in (as_medsam(checkpoint), checkpoint))
    segmented = [
        decode_mask(r["segmentation"]) for r in medsam.segment(medsam.embed(image), prompts)
    ]
    embedding = medsam.embed(image)
    predicted = [
        medsam.predict(embedding, prompt, multimask_output=False).masks[0] for prompt in prompts
    ]
    silently = [decode_mask(r["segmentation"]) for r in sam.segment(sam.embed(image), prompts)]
    for number, mask in enumerate(expected):
        assert mask.any()
        assert mask_iou(segmented[number], mask) >= 0.99
        assert mask_iou(predicted[number], mask) >= 0.99
    assert min(mask_iou(mask, wrong) for mask, wrong in zip(expected, silently, strict=True)) < 0.99


@pytest.mark.slow
def test_a_file_of_medsams_size_is_what_its_caller_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "fine-tuned.pth"
    torch.save(widened("vit_b").sam.state_dict(), path)
    with pytest.raises(CheckpointError, match="may be of the family sam or medsam"):
        load_checkpoint(path)
    with caplog.at_level(logging.INFO, "sam"):
        checkpoint = load_checkpoint(path, family="medsam")
    assert "fine-tuned.pth: of the family medsam, as you say" in caplog.text
    image = draw_scene(900, 700)
    boxes = [(5.6 * a, 5.6 * b, 5.6 * c, 5.6 * d) for a, b, c, d in BOXES]
    expected = medsam_masks(checkpoint, image, boxes)
    engine = Engine(checkpoint, device="cpu", precision="fp32")
    records = engine.segment(engine.embed(image), [Prompt(box_xyxy=box) for box in boxes])
    for record, mask in zip(records, expected, strict=True):
        assert mask_iou(decode_mask(record["segmentation"]), mask) >= 0.99
        assert 0 <= record["stability_score"] <= 1


def test_medsam_takes_boxes_alone() -> None:
    engine = Engine(as_medsam(load_checkpoint("vit_tiny")), device="cpu")
    image = draw_scene(160, 120)
    embedding = engine.embed(image)
    point = Prompt(points=((80.0, 60.0),), labels=(1,))
    for ask in (
        lambda: engine.segment(embedding, [point]),
        lambda: engine.predict(embedding, point, multimask_output=False),
    ):
        with pytest.raises(PromptError, match=r"expected a box, .* medsam was trained with boxes"):
            ask()
    with pytest.raises(ParameterError, match="medsam was trained with boxes alone"):
        engine.generate(image)
    with_points = dataclasses.replace(point, box_xyxy=BOXES[0])
    assert engine.segment(embedding, [with_points])[0]["area"]


def test_weights_that_do_not_say_their_family_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"f\.pth: weights .* family sam or medsam") as caught:
        choose_family(VIT_B, "", "f.pth")
    assert "--family sam" in caught.value.hint
    assert choose_family(VIT_B, "medsam", "f.pth") == MEDSAM
    assert choose_family(VIT_B, "sam", "f.pth") == choose_family(VIT_H, "", "f.pth") == SAM
    with pytest.raises(CheckpointError, match="expected one of sam, medsam, mobile_sam, got 'hq'"):
        choose_family(VIT_B, "hq", "f.pth")


def test_the_family_of_a_known_or_other_network_is_not_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    renamed = tmp_path / "renamed.pth"
    embedded = CHECKPOINTS["vit_tiny"].embedded_path
    assert embedded is not None
    renamed.write_bytes(embedded.read_bytes())
    assert load_checkpoint(renamed).name == "vit_tiny"  # by its digest
    with pytest.raises(CheckpointError, match="vit_tiny is of the family sam, not medsam"):
        load_checkpoint(renamed, family="medsam")
    own = tmp_path / "own.pth"
    state = load_checkpoint("vit_tiny").sam.state_dict()
    torch.save({name: value + 0 for name, value in state.items()}, own)
    with caplog.at_level(logging.INFO, "sam"):
        assert load_checkpoint(own).family == SAM
    assert "own.pth: of the family sam, the only one with such weights" in caplog.text
    with pytest.raises(CheckpointError, match="not those of a network of the family medsam"):
        load_checkpoint(own, family="medsam")
