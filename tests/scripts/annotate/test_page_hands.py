"""Clicking without a mouse, and looking closer: keyboard, touch, zoom."""

from __future__ import annotations

import pytest

from tests.scripts.annotate.browser import APPLE, BOOK, GROUND, Person, wait_for
from tests.scripts.annotate.conftest import OpenPage, Served


def test_keyboard_alone_clicks_and_accepts(person: Person, served: Served) -> None:
    person.page.locator("#stage").focus()
    person.press(*["Shift+ArrowLeft"] * 20, *["Shift+ArrowUp"] * 5)
    x, y = (int(part) for part in person.said().split(","))
    assert 40 < x < 120 and 60 < y < 140  # on the apple
    wait_for(lambda: person.is_marked((70, 90)))
    person.press(" ")
    person.hears("Enter accepts")
    person.press("Control+Shift+ArrowDown", "Shift+ArrowDown", "Shift+Space")
    person.press("Enter")
    wait_for(served.rows)
    assert served.read("prompts.json")["a.png"][0]["labels"] == [1, 0]


def test_keyboard_alone_draws_a_box(person: Person, served: Served) -> None:
    person.press("r", " ")
    person.hears("other")
    person.press(*["Shift+ArrowRight"] * 25, *["Shift+ArrowUp"] * 20, " ")
    person.hears("Enter accepts")
    person.press("Enter")
    wait_for(served.rows)
    x0, y0, x1, y1 = served.read("prompts.json")["a.png"][0]["box"]
    assert (x0, y1) == (160, 120) and x1 > 200 and y0 < 60


def test_keyboard_alone_selects_corrects_and_removes(person: Person, served: Served) -> None:
    person.accept(APPLE)
    person.accept(BOOK)
    person.press("n", "n")
    person.hears("accepted")
    person.press("Delete")
    wait_for(lambda: len(served.rows()) == 1)
    person.press("n", "Enter")
    person.hears("Correct it")
    person.click((80, 75))
    person.hears("Enter accepts")
    person.press("Enter")
    wait_for(lambda: len(served.read("prompts.json")["a.png"][0]["points"]) == 2)
    assert len(served.rows()) == 1
    person.press("z")
    wait_for(lambda: len(served.read("prompts.json")["a.png"][0]["points"]) == 1)


def test_wheel_zooms_at_the_pointer_and_clicks_still_hit(person: Person, served: Served) -> None:
    person.point_at(APPLE)
    person.page.mouse.wheel(0, -800)
    x, y = person.place(APPLE)
    person.page.mouse.click(x + 60, y)
    person.hears("Enter accepts")
    person.press("Enter", "0")
    wait_for(served.rows)
    (point,) = served.read("prompts.json")["a.png"][0]["points"]
    assert point[1] == pytest.approx(100, abs=0.5)
    assert 82 < point[0] < 80 + 60 / 2.5  # nearer than without zoom


@pytest.mark.parametrize("way", ["key", "middle button"])
def test_image_moves_and_clicks_still_hit(person: Person, served: Served, way: str) -> None:
    x, y = person.place(APPLE)
    if way == "key":
        person.press("h")
    person.page.mouse.move(x, y)
    person.page.mouse.down(button="left" if way == "key" else "middle")
    person.page.mouse.move(x + 90, y + 40, steps=5)
    person.page.mouse.up(button="left" if way == "key" else "middle")
    person.press("p")
    person.page.mouse.click(x + 90, y + 40)
    person.hears("Enter accepts")
    person.press("Enter")
    wait_for(served.rows)
    (point,) = served.read("prompts.json")["a.png"][0]["points"]
    assert point == pytest.approx(APPLE, abs=1)


def test_touch_includes_excludes_and_accepts(open_page: OpenPage, served: Served) -> None:
    person = open_page(has_touch=True, viewport={"width": 400, "height": 800})
    person.page.touchscreen.tap(*person.place(APPLE))
    person.hears("Enter accepts")
    person.page.get_by_role("button", name="Exclude").tap()
    person.page.touchscreen.tap(*person.place(GROUND))
    person.hears("Enter accepts")
    person.page.get_by_role("button", name="Accept", exact=True).tap()
    wait_for(served.rows)
    assert served.read("prompts.json")["a.png"][0]["labels"] == [1, 0]


def test_two_fingers_zoom_and_make_no_point(open_page: OpenPage) -> None:
    person = open_page(has_touch=True)
    session = person.page.context.new_cdp_session(person.page)
    x, y = person.place((160, 120))

    def fingers(kind: str, apart: float) -> None:
        points = [{"x": x - apart, "y": y, "id": 1}, {"x": x + apart, "y": y, "id": 2}]
        content = {"type": kind, "touchPoints": [] if kind == "touchEnd" else points}
        session.send("Input.dispatchTouchEvent", content)

    def size_of_picture() -> int:
        return int(
            person.page.evaluate("""() => {
            const canvas = document.getElementById("picture");
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            let count = 0;
            for (let at = 0; at < data.length; at += 4) count += data[at + 3] > 0;
            return count;
        }""")
        )

    small = size_of_picture()
    fingers("touchStart", 40)
    for apart in (50, 60, 70):
        fingers("touchMove", apart)
    fingers("touchEnd", 0)
    person.press("-", "-")  # to where the whole image would be seen but for the fingers' zoom
    wait_for(lambda: size_of_picture() != small)
    assert not person.is_marked((160, 120))


def test_all_keys_are_explained_on_demand(person: Person) -> None:
    person.press("?")
    assert person.page.get_by_role("dialog", name="Keys").is_visible()
    assert person.page.locator("dt").count() >= 20
    person.press("Escape")
    assert person.page.get_by_role("dialog").is_hidden()
