"""The page in a real browser: pointer, keys, candidates, brush, categories, undo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunParameters
from scripts.annotate.segmenters import LocalSegmenter
from scripts.annotate.shelf import ImageShelf
from serving.sam.masks import decode_mask
from tests.scripts.annotate.browser import APPLE, BOOK, GROUND, LEAF, Person, wait_for
from tests.scripts.annotate.conftest import OpenPage, Serve, Served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from serving.sam.engine import Engine


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
    wait_for(served.rows)
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
    wait_for(served.rows)
    assert served.read("prompts.json")["a.png"][0]["labels"] == [1, 0, 0]


def test_drag_draws_a_box(person: Person, served: Served) -> None:
    person.drag((275, 122), (170, 30))
    person.hears("Enter accepts")
    assert person.is_marked(BOOK)
    person.press("Enter")
    wait_for(served.rows)
    box = served.read("prompts.json")["a.png"][0]["box"]
    assert box == pytest.approx([170, 30, 275, 122], abs=1)


def test_digits_choose_among_candidates(person: Person, served: Served) -> None:
    person.click(APPLE)
    person.hears("of 3")
    person.press("1")
    person.hears("Candidate 1, ")
    person.press("Enter")
    wait_for(served.rows)
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
    person.press("Shift+Z")
    person.hears("Enter accepts")
    person.press("Shift+Z")
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


def test_digit_chooses_for_the_mask_that_follows_the_pointer(
    person: Person, served: Served
) -> None:
    person.point_at(APPLE)
    wait_for(lambda: person.is_marked(APPLE))
    person.press("1")
    person.hears("Candidate 1")
    person.accept(APPLE)
    wait_for(served.rows)
    assert served.read("masks/a.png.json")["masks"][0]["candidate"] == 0


def test_brush_and_eraser_correct_the_mask(person: Person, served: Served) -> None:
    person.click(APPLE)
    person.hears("Enter accepts")
    person.press("b")
    person.drag((20, 200), (100, 200))
    assert person.is_marked((60, 200)) and not person.is_marked((60, 225))
    person.press("d")
    person.drag((60, 120), (100, 120))
    assert not person.is_marked((80, 120))
    person.press("Enter")
    wait_for(served.rows)
    (record,) = served.read("masks/a.png.json")["masks"]
    assert [stroke["mode"] for stroke in record["strokes"]] == ["add", "remove"]
    mask = decode_mask(record["segmentation"])
    assert mask[200, 60] and not mask[120, 80] and mask[70, 80]


def test_brush_alone_makes_an_object(person: Person, served: Served) -> None:
    person.press("b", "]", "]")
    person.hears("Brush of")
    person.click((160, 120))
    person.press("Enter")
    wait_for(served.rows)
    (record,) = served.read("masks/a.png.json")["masks"]
    assert record["area"] > 20 and "prompt" not in record
    assert "box" in served.read("prompts.json")["a.png"][0]


def test_eraser_alone_makes_none(person: Person, served: Served) -> None:
    person.press("d")
    person.click((160, 120))
    person.press("Enter")
    person.hears("Nothing is included yet")
    assert not (served.output / "masks").exists()


def test_everything_is_kept_and_dropped_by_clicks(person: Person, served: Served) -> None:
    person.press("e")
    person.hears("found")
    assert person.rows() == []
    person.click(LEAF)
    wait_for(lambda: len(person.rows()) == 1)
    wait_for(lambda: len(served.rows()) == 1)
    person.click(LEAF)
    wait_for(lambda: served.rows() == [] and person.rows() == [])
    person.press("z")
    wait_for(lambda: len(served.rows()) == 1)
    person.press("Escape")
    assert len(person.rows()) == 1


def test_escape_drops_the_mask_in_hand_and_undo_brings_it_back(person: Person) -> None:
    person.click(APPLE)
    person.hears("Enter accepts")
    person.press("Escape")
    person.page.mouse.move(5, 5)
    wait_for(lambda: not person.is_marked(APPLE))
    person.press("z")
    wait_for(lambda: person.is_marked(APPLE))


def test_enter_before_the_mask_arrives_accepts_it_when_it_does(
    person: Person, served: Served
) -> None:
    person.click(APPLE)
    person.press("Enter")
    person.hears("Accepted")
    wait_for(served.rows)


def test_one_request_at_a_time_and_the_newest_wins(person: Person) -> None:
    in_flight: list[int] = [0, 0]
    asked: list[float] = []

    def slowly(route: Any) -> None:
        in_flight[0] += 1
        in_flight[1] = max(in_flight)
        asked.append(route.request.post_data_json["prompt"]["points"][0][0])
        reply = route.fetch()
        in_flight[0] -= 1
        route.fulfill(response=reply)

    person.page.route("**/candidates", slowly)
    places = [person.place((x, 100)) for x in range(60, 230, 10)] + [person.place(BOOK)]
    person.page.evaluate(
        """(places) => places.forEach(([clientX, clientY]) => document.getElementById("stage")
            .dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, pointerId: 9 })))""",
        places,
    )
    wait_for(lambda: person.is_marked(BOOK) and not person.is_marked(APPLE))
    assert in_flight[1] == 1
    assert len(asked) == 2 and asked[-1] == pytest.approx(BOOK[0], abs=1)


def test_the_next_image_is_embedded_while_this_one_is_looked_at(
    serve: Serve, open_page: OpenPage, engine: Engine
) -> None:
    segmenter = LocalSegmenter(engine)
    served = serve(maker=segmenter)
    person = open_page(served=served)
    images = ImageShelf(
        find_images(RunParameters(inputs=(str(served.photos),), output=str(served.output)))
    )
    wait_for(lambda: segmenter.is_prepared(images.get(1)))
    assert not segmenter.is_prepared(images.get(2))
    assert person.page.locator("#wait").is_hidden()


def test_address_names_the_image(open_page: OpenPage) -> None:
    person = open_page("3", size=(160, 160))
    assert person.page.locator("#name").inner_text() == "c.png"
    person.press("ArrowRight")
    person.hears("last image")
    field = person.page.get_by_label("Image number")
    field.fill("2")
    field.press("Enter")
    wait_for(lambda: person.page.locator("#name").inner_text() == "b.jpg")


def test_image_that_cannot_be_read_says_so_and_others_go_on(
    serve: Serve, open_page: OpenPage, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"no image")
    (folder / "2 <img src=x>.png").write_bytes((photos / "a.png").read_bytes())
    served = serve(folder)
    person = open_page("2", served=served)
    assert person.page.locator("#name").inner_text() == "2 <img src=x>.png"
    person.tolerated = "status of 422"
    person.press("ArrowLeft")
    person.hears("not an image")
    person.press("ArrowRight")
    person.ready()
    person.name("<b onclick=alert(1)>x</b>")
    person.accept(APPLE)
    wait_for(served.rows)
    assert served.rows()[0]["category"] == "<b onclick=alert(1)>x</b>"
    assert person.page.locator("aside b, h1 img").count() == 0


def test_page_policy_forbids_everything_from_elsewhere(chromium: Browser, served: Served) -> None:
    page = chromium.new_page()
    page.goto(served.address)
    violations = page.evaluate("""() => new Promise(resolve => {
        const directives = [];
        document.addEventListener("securitypolicyviolation", event => {
            directives.push(event.effectiveDirective);
            if (directives.length === 3) resolve(directives.sort());
        });
        const script = document.createElement("script");
        script.text = "window.injected = true";
        document.body.append(script);
        new Image().src = "https://example.com/x.png";
        fetch("https://example.com/").catch(() => {});
    })""")
    assert violations == ["connect-src", "img-src", "script-src-elem"]
    assert page.evaluate("window.injected") is None
    page.close()


def test_link_of_another_site_that_holds_the_token_opens_the_page(
    chromium: Browser, serve: Serve
) -> None:
    """As a mail or a chat has it; a browser sends no strict cookie along a link's redirections."""
    served = serve(token="s3cret")
    page = chromium.new_page()
    link = f'<a href="{served.address}?token=s3cret">annotate</a>'
    page.route(
        "http://mail.example/", lambda route: route.fulfill(body=link, content_type="text/html")
    )
    page.goto("http://mail.example/")
    page.get_by_role("link").click()
    page.wait_for_selector("#stage")
    Person(page)
    assert page.url == f"{served.address}#1"
    page.context.close()
