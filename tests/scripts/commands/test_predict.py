"""Options become prompts, and what the command sends or writes is what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from scripts.cli import app
from scripts.commands.predict import parse_prompts
from scripts.terminal.errors import OperatorError
from serving.contract import parse_request
from serving.sam.prompts import Prompt
from serving.settings import ServingSettings
from tests.conftest import draw_scene

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
    assert parse_prompts(points, boxes) == prompts


@pytest.mark.parametrize(
    ("points", "boxes"),
    [(["80"], []), (["a,b"], []), (["1,2,3,4"], []), ([], ["1,2,3"]), (["1,2"], ["1,2,3,4"] * 2)],
)
def test_wrong_options_are_refused(points: list[str], boxes: list[str]) -> None:
    with pytest.raises(OperatorError):
        parse_prompts(points, boxes)


def test_save_request_is_what_curl_sends(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(draw_scene()).save(path)
    request = tmp_path / "request.json"
    arguments = ["predict", str(path), "--point", "80,95", "--save-request", str(request)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    (read,) = parse_request(json.loads(request.read_text()), ServingSettings()).instances
    assert not isinstance(read, Exception)
    assert read.prompts == (CLICK,)
    assert read.image == path.read_bytes()


def test_no_server_answers(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(draw_scene()).save(path)
    done = CliRunner().invoke(app, ["predict", str(path), "--url", "http://127.0.0.1:9/predict"])
    assert done.exit_code == 1
    assert "sam-vertex serve" in done.output
