"""Options become prompts, and what the command sends or writes is what they say."""

from __future__ import annotations

import json
import re
import socket
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
from tests.command_line import sam_vertex
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


def test_one_click_is_segmented_here_without_a_server(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(draw_scene()).save(path)
    done = sam_vertex("predict", path, "--point", "80,95", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    first, overlay = done.stdout.splitlines()
    score = float(re.match(r"1 mask \(predicted IoU ([0-9.]+)\): ", first)[1])  # type: ignore[index]
    assert overlay == f"overlay: {tmp_path / 'a.png.overlay.png'}"
    (record,) = json.loads((tmp_path / "a.png.masks.json").read_text())["masks"]
    assert record["predicted_iou"] == pytest.approx(score, abs=0.01)
    x, y, width, height = record["bbox"]
    assert x < 80 < x + width and y < 95 < y + height
    assert "vit_tiny, a demo network" in done.stderr


def test_what_is_printed_as_json_has_a_servers_form(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(draw_scene()).save(path)
    boxes = ("--box", "30,45,130,145", "--box", "170,30,280,125")
    prompted = json.loads(sam_vertex("predict", path, *boxes, "--json").stdout)
    (prediction,) = prompted["predictions"]
    assert [len(scores) for scores in prediction["scores"]] == [1, 1]
    automatic = json.loads(sam_vertex("predict", path, "--points-per-side", "4", "--json").stdout)
    assert automatic["predictions"][0]["masks"][0]["segmentation"]["size"] == [240, 320]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--point", "800,95"), "lies outside; the image is 320 x 240 pixels"),
        (("--checkpoint", "vit_b"), "vit_b is not on this machine"),
        (("--url", "127.0.0.1:9", "--checkpoint", "vit_b"), "a server has a checkpoint of its own"),
    ],
)
def test_what_cannot_be_segmented_here_is_named(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(draw_scene()).save(path)
    done = sam_vertex("predict", path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_serve_at_a_port_that_is_used_ends_before_it_loads_anything() -> None:
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = str(used.getsockname()[1])
        done = sam_vertex("serve", "--port", port)
    assert done.returncode == 2
    assert f"error: cannot listen at 127.0.0.1:{port}: Address already in use" in done.stderr
    assert "--port" in done.stderr
