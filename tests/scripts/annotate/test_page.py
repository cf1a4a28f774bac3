"""The page in a real browser: pointer, keys, candidates, brush, categories, undo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.scripts.annotate.browser import APPLE, BOOK, GROUND, LEAF, Person, wait_for
from tests.scripts.annotate.conftest import Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser


OpenPage = Callable[..., Person]


@pytest.fixture
def open_page(chromium: Browser, served: Served) -> Iterator[OpenPage]:
    """Opens the page in a tab of its own; an error on its console fails the test."""
    errors: list[str] = []
    contexts = []

    def opened(fragment: str = "", size: tuple[int, int] = (320, 240), **options: Any) -> Person:
        options = {"viewport": {"width": 1100, "height": 700}, **options}
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{served.address}#{fragment}")
        return Person(page, size)

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def person(open_page: OpenPage) -> Person:
    """Somebody at the first image."""
    return open_page()


def test_mask_follows_the_pointer(person: Person) -> None:
    person.point_at(APPLE)
    wait_for(lambda: person.is_marked(APPLE))
    assert not person.is_marked(GROUND)
    person.point_at(BOOK)
    wait_for(lambda: person.is_marked(BOOK) and not person.is_marked(APPLE))
    person.page.mouse.move(5, 5)
    wait_for(lambda: not person.is_marked(BOOK))


def test_click_and_enter_save_an_object(person: Person, served: Served) -> None:
    person.accept(APPLE)
    wait_for(lambda: (served.output / "reviewed.jsonl").exists())
    (form,) = served.read("prompts.json")["a.png"]
    assert form["points"][0] == pytest.approx(APPLE, abs=1) and form["labels"] == [1]
    wait_for(lambda: "px" in person.page.locator("#objects").inner_text())
    assert person.page.locator("#objects-title").inner_text() == "1 object, 1 accepted"


def test_right_click_and_alt_exclude(person: Person, served: Served) -> None:
    person.click(APPLE)
    person.click(GROUND, button="right")
    person.page.keyboard.down("Alt")
    person.click(LEAF)
    person.page.keyboard.up("Alt")
    person.press("Enter")
    wait_for(lambda: (served.output / "reviewed.jsonl").exists())
    assert served.read("prompts.json")["a.png"][0]["labels"] == [1, 0, 0]


def test_drag_draws_a_box(person: Person, served: Served) -> None:
    person.drag((275, 122), (170, 30))
    person.hears("Enter accepts")
    assert person.is_marked(BOOK)
    person.press("Enter")
    wait_for(lambda: (served.output / "reviewed.jsonl").exists())
    box = served.read("prompts.json")["a.png"][0]["box"]
    assert box == pytest.approx([170, 30, 275, 122], abs=1)


def test_digits_choose_among_candidates(person: Person, served: Served) -> None:
    person.click(APPLE)
    person.hears("of 3")
    person.press("1")
    person.hears("Candidate 1, ")
    person.press("Enter")
    wait_for(lambda: (served.output / "reviewed.jsonl").exists())
    assert served.read("masks/a.png.json")["masks"][0]["candidate"] == 0


def test_undo_and_redo_go_through_clicks_and_accepted_objects(
    person: Person, served: Served
) -> None:
    person.accept(APPLE)
    person.click(BOOK)
    person.hears("Enter accepts")
    person.press("z")
    assert not person.is_marked(BOOK)
    person.press("z")
    person.hears("Undone")
    wait_for(lambda: served.rows() == [])
    assert person.rows() == [] and person.is_marked(APPLE)
    person.press("Shift+Z")
    wait_for(lambda: len(served.rows()) == 1)
    person.press("Shift+Z", "Shift+Z")
    person.hears("Nothing to redo")
    assert person.is_marked(BOOK)
    person.press("Control+z")
    assert not person.is_marked(BOOK)


def test_category_by_typing_and_by_digit(person: Person, served: Served) -> None:
    person.name("apple")
    person.accept(APPLE)
    person.name("book")
    person.accept(BOOK)
    person.press("Shift+Digit1")
    person.accept(LEAF)
    wait_for(lambda: len(served.rows()) == 3)
    assert [row["category"] for row in served.rows()] == ["apple", "book", "apple"]
    person.page.locator("#category").fill("")
    person.press("2")
    assert person.page.locator("#category").input_value() == "book"


def test_arrows_turn_to_the_next_image_and_back(person: Person, served: Served) -> None:
    person.accept(APPLE)
    person.press("ArrowRight")
    wait_for(lambda: person.page.locator("#name").inner_text() == "b.jpg")
    person.size = (240, 320)
    person.ready()
    assert person.rows() == []
    person.accept((60, 130))
    person.press("ArrowLeft")
    wait_for(lambda: person.rows() == [""])
    person.size = (320, 240)
    assert person.page.url.endswith("#1")
    wait_for(lambda: person.is_marked(APPLE))
    wait_for(lambda: set(served.read("prompts.json")) == {"a.png", "b.jpg"})
    person.press("ArrowLeft")
    person.hears("first image")
