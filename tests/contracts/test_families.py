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
from tests.pipeline.conftest import run_steps


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights that nobody knows, an image and its boxes; medsam takes a small network too."""
    monkeypatch.setitem(FAMILIES, "medsam", dataclasses.replace(MEDSAM, fits=lambda _: True))
    path = tmp_path / "own.pth"
    state = load_checkpoint("vit_tiny").sam.state_dict()
    torch.save({name: value + 0 for name, value in state.items()}, path)
    Image.fromarray(draw_scene(160, 120)).save(tmp_path / "a.png")
    prompts = [{"box": list(box)} for box in BOXES]
    (tmp_path / "prompts.json").write_text(json.dumps({"a.png": prompts}))
    return path


def by_run(own: Path) -> list[Bitmap]:
    folder = own.parent
    run_steps(
        RunParameters(
            inputs=(str(folder / "a.png"),), output=str(folder / "out"),
            prompts=str(folder / "prompts.json"), checkpoint=str(own), family="medsam",
        )
    )  # fmt: skip
    content = json.loads((folder / "out" / masks_name("a.png")).read_text())
    return [decode_mask(record["segmentation"]) for record in content["masks"]]


def by_predict(own: Path) -> list[Bitmap]:
    reply = predict_here(
        read_image(str(own.parent / "a.png"), endpoint=False, here=True),
        [Prompt(box_xyxy=box) for box in BOXES],
        checkpoint=str(own), multimask=False, points_per_side=None, family="medsam",
    )  # fmt: skip
    return [decode_mask(masks[0]) for masks in reply["predictions"][0]["masks"]]


def by_server(own: Path, batch: str = "off") -> list[Bitmap]:
    environ = {"SERVING_FAMILY": "medsam", "SERVING_BATCH": batch}
    predictor = SegmentationPredictor(ServingSettings.from_environ(environ))
    predictor.load(str(own))
    assert predictor.about["family"] == "medsam"
    image = base64.b64encode((own.parent / "a.png").read_bytes()).decode()
    instance = {"image": image, "input_box": [list(box) for box in BOXES]}
    reply = predictor.predict(predictor.preprocess({"instances": [instance]}))
    (prediction,) = predictor.postprocess(reply)["predictions"]
    # A batch prediction answers these with errors of their own.
    others = [{"image": image}, {"image": image, "input_point": [80, 60]}]
    for other in others if batch == "off" else ():
        with pytest.raises(RequestError, match="medsam was trained with boxes"):
            predictor.preprocess({"instances": [other]})
    return [decode_mask(masks[0]) for masks in prediction["masks"]]


def by_batch(own: Path) -> list[Bitmap]:
    return by_server(own, "on")


@pytest.mark.parametrize("way", [by_run, by_predict, by_server, by_batch])
def test_masks_are_those_of_the_named_family(
    own: Path, way: Callable[[Path], list[Bitmap]]
) -> None:
    expected = medsam_masks(load_checkpoint("vit_tiny"), draw_scene(160, 120), BOXES)
    for mask, official in zip(way(own), expected, strict=True):
        assert mask_iou(mask, official) >= 0.99


def test_settings_and_commands_know_the_families() -> None:
    setting = Settings.model_fields["serving_family"].annotation
    assert get_args(setting) == ("", *FAMILIES)
    (option,) = get_args(Family)[1:]
    assert all(name in option.help for name in FAMILIES)


def test_what_cannot_be_is_refused_before_anything_is_loaded(own: Path) -> None:
    run = {"inputs": (str(own.parent),), "output": "o", "checkpoint": str(own)}
    with pytest.raises(ParameterError, match="--family medsam: trained with boxes alone"):
        RunParameters(**run, family="medsam")  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="family: expected one of sam, medsam"):
        RunParameters(**run, family="sam-hq")  # type: ignore[arg-type]
