"""The page on screens of all sizes, in light and dark, and for people who do not see it."""

from __future__ import annotations

import pytest

from tests.scripts.annotate.browser import APPLE, wait_for
from tests.scripts.annotate.conftest import OpenPage


@pytest.mark.parametrize("width", [320, 400, 760, 1280, 2560])
def test_nothing_is_cut_off_at_any_width(open_page: OpenPage, width: int) -> None:
    person = open_page(viewport={"width": width, "height": 720})
    person.accept(APPLE)
    page = person.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.scrollHeight") <= 720
    for selector in ("button", "#stage", "#category", "#objects input"):
        for element in page.locator(f"{selector}:visible").all():
            box = element.bounding_box()
            assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width
    stage = page.locator("#stage").bounding_box()
    assert stage is not None and min(stage["width"], stage["height"]) >= 200


CONTRAST = """() => {
    const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const ground = (element) => {
        for (; element; element = element.parentElement) {
            const [r, g, b, a = 1] = channels(getComputedStyle(element).backgroundColor);
            if (a > 0.99) return [r, g, b];
        }
        return [255, 255, 255];
    };
    const light = (colour) => {
        const [r, g, b] = colour.map((value) => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const bad = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        if (!(text || element.matches("input")) || !element.checkVisibility()) continue;
        const [a, b] = [light(channels(getComputedStyle(element).color)), light(ground(element))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) bad.push(`${element.tagName} ${element.textContent} ${ratio.toFixed(2)}`);
    }
    return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(open_page: OpenPage, scheme: str) -> None:
    person = open_page(color_scheme=scheme)
    person.name("apple")
    person.accept(APPLE)
    person.press("n")
    ground = person.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(18, 22, 29)") == (scheme == "dark")
    assert person.page.evaluate(CONTRAST) == []
    person.press("?")
    assert person.page.evaluate(CONTRAST) == []


def test_canvas_has_the_pixels_of_a_fine_screen(open_page: OpenPage) -> None:
    person = open_page(device_scale_factor=2)
    width, shown = person.page.evaluate(
        "[document.getElementById('overlay').width, document.getElementById('stage').clientWidth]"
    )
    assert width == 2 * shown
    person.point_at(APPLE)
    wait_for(lambda: person.is_marked(APPLE))


def test_layers_never_take_the_pointer(open_page: OpenPage) -> None:
    person = open_page()
    x, y = person.place(APPLE)
    assert person.page.evaluate("([x, y]) => document.elementFromPoint(x, y).id", [x, y]) == "stage"


def test_everything_that_works_has_a_name_and_can_be_reached(open_page: OpenPage) -> None:
    person = open_page()
    person.accept(APPLE)
    page = person.page
    unnamed = page.evaluate("""() => [...document.querySelectorAll("button, input, [tabindex]")]
        .filter((element) => !(element.ariaLabel || element.labels?.length ||
            element.textContent.trim()))
        .map((element) => element.outerHTML)""")
    assert unnamed == []
    page.locator("#previous").focus()
    reached = set()
    for _ in range(60):
        reached.add(page.evaluate("document.activeElement.outerHTML.slice(0, 120)"))
        page.keyboard.press("Tab")
    wanted = page.locator("button:visible, input:visible, #stage").count()
    assert len(reached) >= wanted - 2


def test_focus_can_be_seen(open_page: OpenPage) -> None:
    person = open_page()
    person.page.locator("#previous").focus()
    person.press("Tab")
    style = "getComputedStyle(document.activeElement)"
    assert person.page.evaluate(f"{style}.outlineStyle") == "solid"
    assert float(person.page.evaluate(f"parseFloat({style}.outlineWidth)")) >= 2
    person.page.locator("#stage").focus()
    person.press("Shift+ArrowLeft")
    ring = "getComputedStyle(document.getElementById('stage'), '::after').borderTopWidth"
    assert person.page.evaluate(ring) == "3px"


def test_what_happens_is_announced(open_page: OpenPage) -> None:
    person = open_page()
    status = person.page.get_by_role("status")
    person.click(APPLE)
    wait_for(lambda: "candidate" in status.inner_text())
    person.press("Enter")
    wait_for(lambda: "Accepted" in status.inner_text())
    person.press("z", "z", "z")
    wait_for(lambda: "Nothing to undo" in status.inner_text())
