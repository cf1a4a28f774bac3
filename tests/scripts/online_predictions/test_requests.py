"""Requests are built and replies read the same way wherever they go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from scripts.cli import app
from scripts.online_predictions.requests import (
    innermost_message,
    make_instance,
    make_prompts,
    records_of,
)
from scripts.terminal.errors import OperatorError
from serving.contract import parse_request
from serving.sam.engine import Engine
from serving.sam.images import RgbImage
from serving.sam.masks import encode_mask
from serving.sam.prompts import Prompt
from serving.settings import ServingSettings
from tests.conftest import draw_scene
from tests.serving.conftest import png

CLICK = Prompt(points=((80.0, 95.0),), labels=(1,))
BOX = Prompt(box_xyxy=(30.0, 45.0, 130.0, 145.0))
BOTH = Prompt(points=((80.0, 95.0), (5.0, 5.0)), labels=(1, 0), box_xyxy=(30.0, 45.0, 130.0, 145.0))


@pytest.mark.parametrize(
    ("points", "boxes", "prompts"),
    [
        ([], [], ()),
        (["80,95"], [], (CLICK,)),
        (["80,95,1"], [], (CLICK,)),
        ([], ["30,45,130,145"], (BOX,)),
        (["80,95", "5,5,0"], ["30,45,130,145"], (BOTH,)),
        ([], ["30,45,130,145"] * 2, (BOX, BOX)),
    ],
)
def test_options_become_prompts(points: list[str], boxes: list[str], prompts: Any) -> None:
    assert make_prompts(points, boxes) == prompts


@pytest.mark.parametrize(
    ("points", "boxes"),
    [(["80"], []), (["a,b"], []), (["1,2,3,4"], []), ([], ["1,2,3"]), (["1,2"], ["1,2,3,4"] * 2)],
)
def test_wrong_options_are_refused(points: list[str], boxes: list[str]) -> None:
    with pytest.raises(OperatorError):
        make_prompts(points, boxes)


@pytest.mark.parametrize(
    "prompts", [(), (CLICK,), (BOX,), (BOTH,), (CLICK, CLICK), (BOX, BOX), (BOTH, BOTH)]
)
def test_what_is_built_is_what_the_server_reads(prompts: tuple[Prompt, ...]) -> None:
    instance = make_instance("a.png", png(draw_scene()), "", prompts)
    (read,) = parse_request({"instances": [instance]}, ServingSettings()).instances
    assert not isinstance(read, Exception)
    assert read.prompts == prompts
    assert read.several == (len(prompts) > 1)


def test_a_prediction_becomes_a_run_s_records(engine: Engine, scene: RgbImage) -> None:
    """Area, box and points as the engine's own records have them."""
    embedding = engine.embed(scene)
    found = engine.predict(embedding, CLICK, multimask_output=True)
    prediction = {
        "masks": [encode_mask(mask) for mask in found.masks], "scores": found.scores.tolist(),
    }  # fmt: skip
    (record,) = records_of(prediction, [CLICK])
    (wanted,) = engine.segment(embedding, [CLICK])
    for key in ("segmentation", "area", "bbox", "point_coords", "prompt", "crop_box"):
        assert record[key] == wanted[key], key
    assert record["predicted_iou"] == pytest.approx(wanted["predicted_iou"], abs=1e-5)
    with pytest.raises(OperatorError, match="too large"):
        records_of({"error": {"message": "too large"}}, [CLICK])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plain words", "plain words"),
        ('400: {"error": {"message": "outer"}}', "outer"),
        ('x {"error": {"message": "{\\"error\\": {\\"message\\": \\"inner\\"}}"}}.', "inner"),
        ("{broken", "{broken"),
    ],
)
def test_the_servers_own_words_are_found(text: str, message: str) -> None:
    assert innermost_message(text) == message


def test_save_request_is_what_curl_sends(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(draw_scene()).save(path)
    request = tmp_path / "request.json"
    words = ["predict", str(path), "--point", "80,95", "--save-request", str(request)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    (read,) = parse_request(json.loads(request.read_text()), ServingSettings()).instances
    assert not isinstance(read, Exception)
    assert read.prompts == (CLICK,)
    assert read.image == path.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "none.png"], "cannot read"),
        (["predict", "gs://b/a.png"], "--endpoint"),
        (["predict", "none.png", "--endpoint"], "cannot read"),
        (["model", "list"], "outputs"),
        (["model", "release"], "outputs"),
        (["image", "build"], "outputs"),
        (["checkpoint", "upload", "none.pth"], "none.pth"),
        (["batch-predict", "none", "--output", "out"], "outputs"),
        (["serve", "--checkpoint", "none.pth"], "no such checkpoint"),
    ],
)
def test_mistakes_are_told_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert "hint: " in done.output
    assert list(tmp_path.iterdir()) == []


def test_no_server_answers(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(draw_scene()).save(path)
    done = CliRunner().invoke(app, ["predict", str(path), "--url", "http://127.0.0.1:9/predict"])
    assert done.exit_code == 1
    assert "sam-vertex serve" in done.output
