"""A request holds what the server reads from it."""

from __future__ import annotations

import pytest

from scripts.online_predictions.requests import RequestedImage, make_request
from serving.contract import parse_request
from serving.sam.prompts import Prompt
from serving.settings import ServingSettings
from tests.conftest import draw_scene
from tests.serving.conftest import png

CLICK = Prompt(points=((80.0, 95.0),), labels=(1,))
BOX = Prompt(box_xyxy=(30.0, 45.0, 130.0, 145.0))
BOTH = Prompt(points=((80.0, 95.0), (5.0, 5.0)), labels=(1, 0), box_xyxy=(30.0, 45.0, 130.0, 145.0))


@pytest.mark.parametrize(
    "prompts", [(), (CLICK,), (BOX,), (BOTH,), (CLICK, CLICK), (BOX, BOX), (BOTH, BOTH)]
)
def test_server_reads_the_prompts_that_the_request_was_made_of(prompts: tuple[Prompt, ...]) -> None:
    image = RequestedImage(name="a.png", data=png(draw_scene()))
    (read,) = parse_request(make_request(image, prompts), ServingSettings()).instances
    assert not isinstance(read, Exception)
    assert read.prompts == prompts
    assert read.several == (len(prompts) > 1)
