"""The photograph to click in a notebook: real page, real browser, the kernel's answers."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from scripts.annotate.app import PAGE
from scripts.notebooks.modules import one_module
from scripts.notebooks.widget import ClickWidget
from serving.sam.engine import Engine
from serving.sam.masks import decode_mask
from serving.sam.prompts import Prompt
from tests.conftest import draw_scene

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

APPLE, LEAF = (80, 100), (184, 185)
SECONDS = 20.0
# What anywidget does: it gives the module a model and an element. Messages go to Python and back.
HOST = """
async ({module, style, picture, size, objects}) => {
  document.head.append(Object.assign(document.createElement("style"), {textContent: style}));
  const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
  const traits = {picture: new DataView(bytes.buffer), size, objects};
  const heard = [];
  const model = {
    get: (name) => traits[name],
    send: async (content) => {
      const answer = await window.kernel(content);
      heard.forEach((listener) => listener(answer));
    },
    on: (_event, listener) => heard.push(listener),
    off: () => heard.splice(0),
  };
  const address = URL.createObjectURL(new Blob([module], {type: "text/javascript"}));
  const {default: widget} = await import(address);
  const element = document.body.appendChild(document.createElement("div"));
  window.close_widget = widget.render({model, el: element});
}
"""


@pytest.fixture
def widget(engine: Engine, tmp_path: Path) -> ClickWidget:
    """A widget over a scene of 320 x 240 pixels."""
    Image.fromarray(draw_scene(320, 240)).save(tmp_path / "scene.png")
    return ClickWidget(engine, tmp_path / "scene.png")


@pytest.fixture
def page(chromium: Browser, widget: ClickWidget) -> Iterator[Page]:
    """A browser that shows the widget."""
    with chromium.new_context(viewport={"width": 700, "height": 700}) as context:
        page = context.new_page()
        page.goto("about:blank")
        page.expose_function("kernel", widget.answer)
        given = {
            "module": widget._esm,
            "style": widget._css,
            "picture": base64.b64encode(widget.picture).decode(),
            "size": widget.size,
            "objects": widget.objects,
        }
        page.evaluate(HOST, given)
        yield page


def click(page: Page, point: tuple[int, int], button: Any = "left") -> None:
    """Click a pixel of the scene."""
    box = page.locator(".sam-stage").bounding_box()
    assert box is not None
    scale = box["width"] / 320
    page.mouse.click(box["x"] + point[0] * scale, box["y"] + point[1] * scale, button=button)


def wait_for(page: Page, condition: Callable[[], Any]) -> None:
    """Let the page go on until a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, page.locator("[role=status]").inner_text()
        page.wait_for_timeout(20)


def says(page: Page, text: str) -> None:
    """Wait until the widget says something."""
    wait_for(page, lambda: text in page.locator("[role=status]").inner_text())


def test_what_is_clicked_and_accepted_is_in_the_kernel(
    page: Page, widget: ClickWidget, engine: Engine
) -> None:
    click(page, APPLE)
    says(page, "Mask: candidate")
    page.keyboard.press("Enter")
    wait_for(page, lambda: widget.records)
    (record,) = widget.records
    (prompt,) = widget.prompts
    assert np.allclose(prompt.points, [APPLE], atol=1)
    prediction = engine.predict(engine.embed(draw_scene(320, 240)), prompt, multimask_output=True)
    best = prediction.masks[int(prediction.scores.argmax())]
    assert np.array_equal(decode_mask(record["segmentation"]), best)
    assert [shown["area"] for shown in widget.objects] == [record["area"]]


def test_excluding_undoing_and_several_objects(page: Page, widget: ClickWidget) -> None:
    click(page, APPLE)
    says(page, "Mask")
    click(page, LEAF, button="right")
    says(page, "Mask: predicted IoU")
    page.get_by_role("button", name="Accept").click()
    wait_for(page, lambda: len(widget.records) == 1)
    assert widget.prompts[0].labels == (1, 0)
    click(page, LEAF)
    says(page, "Mask: candidate")
    page.keyboard.press("Enter")
    wait_for(page, lambda: len(widget.records) == 2)
    page.keyboard.press("z")
    wait_for(page, lambda: len(widget.records) == 1)


def test_a_refusal_is_said_and_nothing_is_kept(widget: ClickWidget) -> None:
    answer = widget.answer({"kind": "candidates", "number": 1, "prompt": {"points": [[999, 1]]}})
    assert answer["number"] == 1
    assert "outside" in answer["error"]
    change = {"kind": "change", "number": 2, "method": "PUT", "id": "../x", "body": {}}
    assert "id" in widget.answer(change)["error"]
    assert widget.records == []


def test_one_module_imports_nothing_from_beside_it() -> None:
    module = one_module(PAGE / "widget.js")
    assert "data:text/javascript;base64," in module
    imports = re.findall(r'^import .*? from "([^"]+)"', module, re.MULTILINE | re.DOTALL)
    assert len(imports) == 5
    assert all(address.startswith("data:") for address in imports)


def test_prompts_of_the_widget_segment_like_any_others(widget: ClickWidget, engine: Engine) -> None:
    body = {"prompt": Prompt(points=(APPLE,), labels=(1,)).to_json(), "verdict": "accept"}
    widget.answer({"kind": "change", "number": 1, "method": "PUT", "id": "one", "body": body})
    (record,) = engine.segment(engine.embed(draw_scene(320, 240)), widget.prompts)
    assert record["area"] > 0
