"""The viewer of one picture in a real browser: zoomed, moved, turned to the next image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pipeline.report.conftest import OpenPage, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page


def open_viewer(page: Page, picture: str = "[data-view='best']") -> None:
    page.locator(f"article {picture}").first.click()
    page.locator("#canvas .stack").wait_for()


def title(page: Page) -> str:
    return page.locator("#viewer-title").inner_text()


def width(page: Page) -> float:
    return float(page.locator("#canvas .stack").evaluate("n => n.getBoundingClientRect().width"))


def scrolled(page: Page) -> list[float]:
    return list(page.locator("#canvas").evaluate("n => [n.scrollLeft, n.scrollTop]"))


def test_viewer_opens_zooms_and_closes(open_page: OpenPage, small: Path) -> None:
    page = open_page(small)
    open_viewer(page)
    before = width(page)
    page.get_by_label("Zoom in").click()
    assert width(page) == pytest.approx(before * 1.25, abs=1)
    page.get_by_role("button", name="masks", exact=True).click()
    assert page.locator("#canvas svg").get_attribute("hidden") is not None
    page.get_by_label("Close").click()
    assert page.locator("#viewer").get_attribute("open") is None


def test_viewer_shows_the_whole_picture_first(open_page: OpenPage, small: Path) -> None:
    page = open_page(small)
    open_viewer(page)
    fits = "n => n.scrollWidth <= n.clientWidth && n.scrollHeight <= n.clientHeight"
    assert page.locator("#canvas").evaluate(fits)
    rectangle = page.locator("#canvas .stack").bounding_box()
    frame = page.locator("#canvas").bounding_box()
    assert rectangle is not None
    assert frame is not None
    assert rectangle["height"] == pytest.approx(frame["height"], abs=3)


def test_viewer_wheel_zooms_at_the_pointer_only_with_control(
    open_page: OpenPage, small: Path
) -> None:
    page = open_page(small)
    open_viewer(page)
    for _ in range(3):  # now it is larger than the window both ways
        page.keyboard.press("+")
    before = width(page)
    x, y = 500, 600
    page.mouse.move(x, y)
    page.mouse.wheel(0, -400)
    page.wait_for_timeout(100)
    assert width(page) == before
    under_pointer = f"""n => {{
        const b = n.getBoundingClientRect();
        return [({x} - b.x) / b.width, ({y} - b.y) / b.height];
    }}"""
    point = page.locator("#canvas .stack").evaluate(under_pointer)
    page.keyboard.down("Control")
    for _ in range(8):
        page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    stack = "document.querySelector('#canvas .stack')"
    wait_until(page, f"{stack}.getBoundingClientRect().width > {before * 2}")
    assert page.locator("#canvas .stack").evaluate(under_pointer) == pytest.approx(point, abs=0.005)


def test_viewer_mouse_drags_the_zoomed_picture(open_page: OpenPage, small: Path) -> None:
    page = open_page(small)
    open_viewer(page)
    for _ in range(6):
        page.keyboard.press("+")
    left, top = scrolled(page)
    page.mouse.move(640, 450)
    page.mouse.down()
    page.mouse.move(600, 420)
    page.mouse.move(540, 400)
    page.mouse.up()
    assert scrolled(page) == pytest.approx([left + 100, top + 50], abs=2)
    page.mouse.move(300, 300)  # the button is up: nothing more happens
    assert scrolled(page) == pytest.approx([left + 100, top + 50], abs=2)


def test_viewer_arrows_turn_to_the_next_image_and_move_a_zoomed_one(
    open_page: OpenPage, small: Path
) -> None:
    """The broken image, between the first and the third, has no picture and is passed over."""
    page = open_page(small)
    open_viewer(page)
    assert title(page) == "a.png"
    assert page.get_by_label("Previous image").is_disabled()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowRight")
    wait_until(page, "document.getElementById('viewer-title').innerText === 'b.jpg'")
    page.get_by_label("Next image").click()
    wait_until(page, "document.getElementById('viewer-title').innerText === 'more/c.webp'")
    assert page.get_by_label("Next image").is_disabled()
    for _ in range(6):
        page.keyboard.press("+")
    _, top = scrolled(page)
    page.keyboard.press("ArrowUp")
    assert scrolled(page)[1] == pytest.approx(top - 80, abs=2)
    page.keyboard.press("ArrowLeft")
    assert title(page) == "more/c.webp"


def test_viewer_closing_returns_the_focus_to_the_picture_last_looked_at(
    open_page: OpenPage, small: Path
) -> None:
    page = open_page(small)
    open_viewer(page, "[data-view='original']")
    page.keyboard.press("ArrowRight")
    wait_until(page, "document.getElementById('viewer-title').innerText === 'b.jpg: original'")
    page.keyboard.press("Escape")
    wait_until(
        page,
        "document.activeElement.getAttribute('aria-label') === 'Enlarge the original of b.jpg'",
    )


def test_viewer_closing_finds_the_picture_though_the_page_was_drawn_anew(
    open_page: OpenPage, small: Path
) -> None:
    page = open_page(small)
    open_viewer(page)
    page.evaluate("draw()")
    page.keyboard.press("Escape")
    wait_until(page, "document.activeElement.getAttribute('aria-label') === 'Enlarge a.png'")


def test_viewer_closing_turns_to_the_page_of_the_picture_last_looked_at(
    open_page: OpenPage, large: Path
) -> None:
    page = open_page(large, "show=none")
    page.locator("article .pair").nth(23).wait_for()
    page.locator("article [data-view='original']").last.click()
    page.keyboard.press("ArrowRight")
    wait_until(
        page, "document.getElementById('viewer-title').innerText === 'batch/00960.jpg: original'"
    )
    page.keyboard.press("Escape")
    focused = "document.activeElement.getAttribute('aria-label')"
    wait_until(page, f"{focused} === 'Enlarge the original of batch/00960.jpg'")
    assert page.url.endswith("#show=none&page=2")


def test_viewer_back_closes_it_and_nothing_else(open_page: OpenPage, small: Path) -> None:
    page = open_page(small)
    page.locator("#show").select_option("automatic")
    open_viewer(page)
    page.go_back()
    wait_until(page, "!document.getElementById('viewer').open")
    assert page.locator("#show").input_value() == "automatic"
    open_viewer(page)
    page.keyboard.press("Escape")  # leaves no step behind that Back would have to take
    wait_until(page, "!document.getElementById('viewer').open && !history.state")
    page.go_back()
    wait_until(page, "document.getElementById('show').value === 'all'")
    assert page.locator("article").count() == 4
