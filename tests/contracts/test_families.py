"""The family that a caller names reaches the network, whichever way the caller goes."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from PIL import Image

from infra.settings import Settings
from pipeline.run.output_layout import masks_name
from pipeline.run.parameters import RunParameters
from scripts.commands.options import Family
from scripts.online_predictions.here import predict_here
from scripts.online_predictions.requests import read_image
from serving.errors import RequestError
from serving.predictor import SegmentationPredictor
from serving.sam.checkpoints import load_checkpoint
from serving.sam.errors import CheckpointError, ParameterError
from serving.sam.families.table import FAMILIES, MEDSAM
from serving.sam.masks import decode_mask
from serving.sam.prompts import Prompt
from serving.settings import ServingSettings
from tests.conftest import draw_scene
from tests.families import BOXES, Bitmap, mask_iou, medsam_masks
from tests.mobile_sam import mobile_sam_masks, official_mobile_sam
from tests.pipeline.conftest import run_steps


@dataclasses.dataclass(frozen=True)
class Own:
    """Weights that nobody knows, an image and its boxes in one folder.

    Attributes:
        path: of the weights.
        family: that the caller names.
        expected: the masks of the boxes by the family's own code.
    """

    path: Path
    family: str
    expected: list[Bitmap]


@pytest.fixture(params=["medsam", pytest.param("mobile_sam", marks=pytest.mark.slow)])
def own(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Own:
    image, path = draw_scene(160, 120), tmp_path / "own.pth"
    if request.param == "medsam":  # of a small network, to save time
        monkeypatch.setitem(FAMILIES, "medsam", dataclasses.replace(MEDSAM, fits=lambda _: True))
        small = load_checkpoint("vit_tiny")
        state = {name: value + 0 for name, value in small.sam.state_dict().items()}
        own = Own(path, "medsam", medsam_masks(small, image, BOXES))
    else:
        sam = official_mobile_sam()
        state = sam.state_dict()
        own = Own(path, "", mobile_sam_masks(sam, image, BOXES))
    torch.save(state, path)
    Image.fromarray(draw_scene(160, 120)).save(tmp_path / "a.png")
    prompts = [{"box": list(box)} for box in BOXES]
    (tmp_path / "prompts.json").write_text(json.dumps({"a.png": prompts}))
    return own


def by_run(own: Own) -> list[Bitmap]:
    folder = own.path.parent
    run_steps(
        RunParameters(
            inputs=(str(folder / "a.png"),), output=str(folder / "out"),
            prompts=str(folder / "prompts.json"), checkpoint=str(own.path), family=own.family,
        )
    )  # fmt: skip
    content = json.loads((folder / "out" / masks_name("a.png")).read_text())
    return [decode_mask(record["segmentation"]) for record in content["masks"]]


def by_predict(own: Own) -> list[Bitmap]:
    reply = predict_here(
        read_image(str(own.path.parent / "a.png"), endpoint=False, here=True),
        [Prompt(box_xyxy=box) for box in BOXES],
        checkpoint=str(own.path), multimask=False, points_per_side=None, family=own.family,
    )  # fmt: skip
    return [decode_mask(masks[0]) for masks in reply["predictions"][0]["masks"]]


def by_server(own: Own, batch: str = "off") -> list[Bitmap]:
    environ = {"SERVING_FAMILY": own.family, "SERVING_BATCH": batch}
    predictor = SegmentationPredictor(ServingSettings.from_environ(environ))
    predictor.load(str(own.path))
    family = FAMILIES[predictor.about["family"]]
    assert family.name == (own.family or "mobile_sam")
    image = base64.b64encode((own.path.parent / "a.png").read_bytes()).decode()
    instance = {"image": image, "input_box": [list(box) for box in BOXES]}
    reply = predictor.predict(predictor.preprocess({"instances": [instance]}))
    (prediction,) = predictor.postprocess(reply)["predictions"]
    # A batch prediction answers these with errors of their own.
    others = [{"image": image}, {"image": image, "input_point": [80, 60]}]
    for other in others if family.needs_boxes and batch == "off" else ():
        with pytest.raises(RequestError, match="medsam was trained with boxes"):
            predictor.preprocess({"instances": [other]})
    return [decode_mask(masks[0]) for masks in prediction["masks"]]


def by_batch(own: Own) -> list[Bitmap]:
    return by_server(own, "on")


@pytest.mark.parametrize("way", [by_run, by_predict, by_server, by_batch])
def test_masks_are_those_of_the_family(own: Own, way: Callable[[Own], list[Bitmap]]) -> None:
    for mask, official in zip(way(own), own.expected, strict=True):
        assert official.any()
        assert mask_iou(mask, official) >= 0.99


def test_settings_and_commands_know_the_families() -> None:
    setting = Settings.model_fields["serving_family"].annotation
    assert get_args(setting) == ("", *FAMILIES)
    (option,) = get_args(Family)[1:]
    assert all(name in option.help for name in FAMILIES)


def test_what_cannot_be_is_refused_before_anything_is_loaded() -> None:
    run = {"inputs": ("photos",), "output": "o", "checkpoint": "own.pth"}
    with pytest.raises(ParameterError, match="--family medsam: trained with boxes alone"):
        RunParameters(**run, family="medsam")  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="family: expected one of sam, medsam"):
        RunParameters(**run, family="sam-hq")  # type: ignore[arg-type]
