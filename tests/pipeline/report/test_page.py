"""The gallery in a real browser: its pages, filters, addresses and cards."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.run.parameters import RunParameters
from tests.pipeline.report.conftest import MANY, OpenPage, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page


def names(page: Page) -> list[str]:
    """The images of the cards that the page shows."""
    return page.locator("article h2").all_inner_texts()


def matches(page: Page) -> str:
    """What the page says, and announces, of the images that match."""
    return page.get_by_role("status").inner_text()


def test_page_of_10000_images_holds_24_and_loads_what_it_shows(
    open_page: OpenPage, large: Path
) -> None:
    assert large.stat().st_size < 1_000_000
    page = open_page(large)
    assert names(page)[0] == "batch/00000.jpg"
    assert len(names(page)) == 24
    assert matches(page) == "10,000 images, page 1 of 417"
    wait_until(page, "document.querySelectorAll('article .pair').length === 24")
    assert page.locator("script[src]").count() == 1
    page.locator("[data-turn='1']").first.click()
    assert names(page)[0] == "batch/00024.jpg"


def test_page_the_last_one_holds_the_rest(open_page: OpenPage, large: Path) -> None:
    page = open_page(large, "page=417")
    wait_until(page, "document.querySelectorAll('script[src]').length === 1")
    assert len(names(page)) == MANY - 416 * 24


@pytest.mark.parametrize(
    ("state", "count", "first"),
    [
        ("show=failed", 100, "batch/00099.jpg"),
        ("show=prompted", 2000, "batch/00000.jpg"),
        ("show=none", 250, "batch/00000.jpg"),
        ("show=many", None, "batch/00029.jpg"),
        ("show=few", None, "batch/00000.jpg"),
        ("text=0777", 11, "batch/00777.jpg"),
        ("show=automatic&order=slowest", 7900, "batch/09998.jpg"),
        ("order=most", 10_000, "batch/00039.jpg"),
        ("text=nowhere", 0, None),
    ],
)
def test_page_is_filtered_and_ordered_as_its_address_says(
    open_page: OpenPage, large: Path, state: str, count: int | None, first: str | None
) -> None:
    page = open_page(large, state)
    assert next(iter(names(page)), None) == first
    announced = re.match(r"([\d,]+)? ?(of|images|no image matches)", matches(page))
    assert announced is not None
    total = int((announced[1] or "0").replace(",", ""))
    if count is None:  # a quarter of the images, those with equal counts included
        assert 2400 < total < 2900
    else:
        assert total == count
        assert len(names(page)) == min(count, 24)


@pytest.mark.parametrize(
    "state", ["page=abc", "page=0", "page=-3", "page=99999", "show=bogus", "order=bogus"]
)
def test_page_takes_the_nearest_for_an_address_that_makes_no_sense(
    open_page: OpenPage, large: Path, state: str
) -> None:
    page = open_page(large, state)
    last = state == "page=99999"
    assert matches(page) == f"10,000 images, page {417 if last else 1} of 417"
    assert names(page)[0] == ("batch/09984.jpg" if last else "batch/00000.jpg")
    assert page.locator("#show").input_value() == "all"
    assert page.locator("#order").input_value() == "name"


def test_page_back_returns_through_pages_and_choices(open_page: OpenPage, large: Path) -> None:
    page = open_page(large)
    page.locator("#show").select_option("prompted")
    page.locator("[data-turn='1']").first.click()
    assert matches(page) == "2,000 of 10,000 images, page 2 of 84"
    page.go_back()
    assert matches(page) == "2,000 of 10,000 images, page 1 of 84"
    page.go_back()
    assert matches(page) == "10,000 images, page 1 of 417"
    assert page.locator("#show").input_value() == "all"
    page.go_forward()
    assert matches(page) == "2,000 of 10,000 images, page 1 of 84"


def test_page_is_drawn_once_for_a_word_and_back_does_not_spell_it(
    open_page: OpenPage, large: Path
) -> None:
    page = open_page(large)
    page.evaluate(
        "window.draws = 0;"
        "new MutationObserver(() => window.draws++)"
        ".observe(document.getElementById('gallery'), {childList: true})"
    )
    steps = page.evaluate("history.length")
    # By timers of the page: keys sent from here come late on a busy machine.
    page.evaluate(
        "const field = document.getElementById('text');"
        "[...'00777'].forEach((letter, number) => setTimeout(() => {"
        "  field.value += letter;"
        "  field.dispatchEvent(new Event('input', {bubbles: true}));"
        "}, 10 * number));"
    )
    wait_until(page, "location.hash === '#text=00777'")
    assert names(page) == ["batch/00777.jpg"]
    assert page.evaluate("window.draws") == 1
    assert page.evaluate("history.length") == steps


def test_page_keyboard_stays_in_the_pager_at_either_end(open_page: OpenPage, large: Path) -> None:
    page = open_page(large, "text=/000&page=4")
    assert matches(page) == "100 of 10,000 images, page 4 of 5"
    page.locator("[data-turn='1']").first.focus()
    page.keyboard.press("Enter")
    assert matches(page).endswith("page 5 of 5")
    assert page.evaluate("document.activeElement.innerText") == "Previous"


def test_card_says_how_many_of_the_masks_are_among_the_best(
    open_page: OpenPage, large: Path
) -> None:
    page = open_page(large, "text=00039.jpg")
    captions = page.locator(".pair figcaption")
    captions.first.wait_for()
    assert captions.all_inner_texts() == ["original", "best masks: 10 of 39"]


def test_card_links_to_the_masks_of_its_image(open_page: OpenPage, small: Path) -> None:
    page = open_page(small, "text=more")
    link = page.get_by_role("link", name="masks as JSON")
    link.wait_for()
    address = link.get_attribute("href")
    assert address == "masks/more/c.webp.json"
    assert json.loads((small.parent / address).read_text())["image"] == "more/c.webp"


def test_masks_are_toggled_one_by_one_and_together(open_page: OpenPage, small: Path) -> None:
    page = open_page(small, "text=a.png")
    visible = page.locator("article path:not([hidden])")
    toggles = page.locator(".toggles button")
    toggles.nth(2).wait_for()
    assert visible.count() == page.locator("article path").count() == 2
    toggles.nth(1).click()
    assert visible.count() == 1
    # The button's own mask: the best is drawn last, so that it lies on top.
    assert page.locator("article .pair path").last.get_attribute("hidden") is not None
    toggles.nth(0).click()
    assert visible.count() == 0
    toggles.nth(0).click()
    assert visible.count() == 2
    # An outline covers what its mask covers; this image is smaller than the page's frame.
    box = page.locator("article .pair path").last.evaluate(
        "path => { const b = path.getBBox(); return [b.x, b.y, b.x + b.width]; }"
    )
    record = json.loads((small.parent / "masks" / "a.png.json").read_text())["masks"][0]
    x, y, width, _ = record["bbox"]
    assert box == pytest.approx([x, y, x + width], abs=2)
    colour = page.locator("article .pair path").last.evaluate("path => getComputedStyle(path).fill")
    assert re.fullmatch(r"rgb\(\d+, \d+, \d+\)", colour)


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_phone_and_desk_and_everything_has_a_name(
    open_page: OpenPage, small: Path, width: int, scheme: str
) -> None:
    """No sideways scrolling; every control and picture is named; every picture is there."""
    page = open_page(small, width=width, color_scheme=scheme)
    page.locator("article .open img").nth(5).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    unnamed = page.locator("button, input, select, img, dialog, nav").evaluate_all(
        "nodes => nodes.filter(n => !(n.getAttribute('aria-label') || n.alt || n.innerText"
        " || n.hasAttribute('aria-labelledby')).toString().trim()).map(n => n.outerHTML)"
    )
    assert unnamed == []
    page.evaluate("document.querySelectorAll('img').forEach(n => n.loading = 'eager')")
    wait_until(
        page, "[...document.querySelectorAll('img')].every(n => n.complete && n.naturalWidth)"
    )
    assert "broken <i>.png" in names(page)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(18, 22, 29)" if scheme == "dark" else "rgb(244, 245, 248)")


def test_page_says_which_run_it_is_and_its_figures_lead_to_their_images(
    open_page: OpenPage, small: Path, small_run: RunParameters
) -> None:
    page = open_page(small)
    assert page.locator("h1").inner_text() == "out"
    assert page.title() == "out: 4 images"
    about = page.locator(".model").inner_text()
    assert "vit_tiny" in about and " UTC" in about
    assert "vit_tiny is a demo network" in page.locator(".warning").inner_text()
    page.get_by_text("Settings", exact=True).click()
    settings = page.locator(".settings").inner_text()
    assert small_run.inputs[0] in settings and small_run.output in settings
    assert "--points-per-side\t4" in settings
    page.locator("a.tile", has_text="failed").click()
    wait_until(page, "document.querySelectorAll('article').length === 1")
    assert page.locator("#show").input_value() == "failed"
    assert page.locator("#matches").inner_text() == "1 of 4 images"


def test_contact_sheet_shows_many_small_pictures_and_is_kept_in_the_address(
    open_page: OpenPage, large: Path
) -> None:
    page = open_page(large)
    page.locator("#layout").select_option("sheet")
    wait_until(page, "document.querySelectorAll('article button.open').length > 100")
    assert page.locator("article").count() == 120
    assert page.url.endswith("#layout=sheet")
    boxes = page.locator("article").evaluate_all("cards => cards.map(c => c.offsetWidth)")
    assert max(boxes) < 200
    first, failed = page.locator("article").first, page.locator("article[data-kind=failed]").first
    assert first.inner_text() == "00000.jpg", "of the path what tells images apart"
    assert failed.inner_text().split() == ["00099.jpg", "no", "image"]
    page.locator("article button.open").first.click()
    page.locator("#viewer[open]").wait_for()


def test_small_masks_are_cropped_to_and_large_ones_are_not(
    open_page: OpenPage, large: Path
) -> None:
    """A mask of 40 x 25 pixels in 640 x 480 fills a good part of its picture."""
    page = open_page(large, "show=many")
    segment = page.locator(".segments .stack").first
    segment.wait_for()
    assert "crop" in str(segment.get_attribute("class"))
    scale = segment.evaluate("s => s.querySelector('img').offsetWidth / s.offsetWidth")
    assert scale == pytest.approx(640 / (0.12 * 640), rel=0.05)
