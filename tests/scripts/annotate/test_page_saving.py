"""Nothing accepted is lost, over reloads, killed servers and two tabs; and runs are judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipeline.run.parameters import RunParameters
from tests.conftest import draw_scene
from tests.pipeline.conftest import run_steps
from tests.scripts.annotate.browser import APPLE, BOOK, LEAF, Person, wait_for
from tests.scripts.annotate.conftest import OpenPage, Serve, Served


def test_reload_shows_what_was_accepted(open_page: OpenPage, served: Served) -> None:
    person = open_page()
    person.name("apple")
    person.accept(APPLE)
    wait_for(lambda: len(served.rows()) == 1)
    person.page.reload()
    person.ready()
    assert person.rows() == ["apple"]
    wait_for(lambda: person.is_marked(APPLE))
    assert person.page.get_by_role("group", name="Known categories").inner_text() == "1apple"


def test_killed_server_hears_of_everything_when_it_is_back(
    open_page: OpenPage, served: Served
) -> None:
    person = open_page()
    person.accept(APPLE)
    wait_for(lambda: len(served.rows()) == 1)
    person.click(BOOK)
    person.hears("Enter accepts")
    served.stop()
    person.press("Enter")
    banner = person.page.get_by_role("alert")
    wait_for(banner.is_visible)
    assert "1 change waits in this browser" in banner.inner_text()
    served.start()
    wait_for(lambda: len(served.rows()) == 2)
    wait_for(banner.is_hidden)


def test_page_that_was_closed_over_a_dead_server_loses_nothing(
    open_page: OpenPage, served: Served
) -> None:
    person = open_page()
    person.click(APPLE)
    person.hears("Enter accepts")
    served.stop()
    person.press("Enter")
    wait_for(person.page.get_by_role("alert").is_visible)
    context = person.page.context
    person.page.close()
    served.start()
    again = open_page(context=context)
    assert len(served.rows()) == 1
    wait_for(lambda: again.rows() == [""])


def test_change_of_an_image_that_is_not_here_holds_up_no_other(
    open_page: OpenPage, served: Served
) -> None:
    """The same output, yesterday over other photographs, with a server that had died."""
    first = open_page()
    old = f"sam-annotate {served.output} {'0' * 15}-000001-old"
    change = '{"method": "DELETE", "id": "x", "image": "yesterday.png"}'
    first.page.evaluate("([key, change]) => localStorage.setItem(key, change)", [old, change])
    person = open_page(context=first.page.context)
    person.accept(APPLE)
    wait_for(lambda: len(served.rows()) == 1)
    assert not person.page.get_by_role("alert").is_visible()
    assert person.page.evaluate("(key) => localStorage.getItem(key)", old) == change


def test_two_tabs_keep_the_objects_of_both(open_page: OpenPage, served: Served) -> None:
    first = open_page()
    second = open_page(context=first.page.context)
    first.accept(APPLE)
    wait_for(lambda: len(second.rows()) == 1)
    second.accept(BOOK)
    wait_for(lambda: len(first.rows()) == 2)
    first.accept(LEAF)
    wait_for(lambda: len(served.rows()) == 3)
    wait_for(lambda: len(served.read("prompts.json")["a.png"]) == 3)


def test_object_is_renamed_in_the_list(open_page: OpenPage, served: Served) -> None:
    person = open_page()
    person.accept(APPLE)
    wait_for(lambda: len(served.rows()) == 1)
    field = person.page.get_by_label("Category of object 1")
    field.fill("  red   apple ")
    field.press("Tab")
    wait_for(lambda: served.rows()[0].get("category") == "red apple")
    assert served.read("prompts.json")["a.png"][0]["category"] == "red apple"
    person.page.locator("#stage").focus()
    person.press("z")
    wait_for(lambda: "category" not in served.rows()[0])


def test_object_is_corrected_with_the_pencil(open_page: OpenPage, served: Served) -> None:
    person = open_page()
    person.accept(APPLE)
    wait_for(lambda: len(served.rows()) == 1)
    (before,) = served.read("masks/a.png.json")["masks"]
    person.page.get_by_role("button", name="Correct").click()
    person.press("b")
    person.drag((20, 200), (100, 200))
    person.press("Enter")
    wait_for(lambda: "strokes" in served.read("masks/a.png.json")["masks"][0])
    (after,) = served.read("masks/a.png.json")["masks"]
    assert after["id"] == before["id"] and after["area"] > before["area"]


def test_object_that_is_corrected_keeps_its_category(open_page: OpenPage, served: Served) -> None:
    person = open_page()
    person.name("apple")
    person.accept(APPLE)
    wait_for(lambda: len(served.rows()) == 1)
    person.name("book")  # the next one's
    person.page.get_by_role("button", name="Correct").click()
    person.press("b")
    person.drag((20, 200), (100, 200))
    person.press("Enter")
    wait_for(lambda: "strokes" in served.read("masks/a.png.json")["masks"][0])
    assert person.rows() == ["apple"]
    assert served.rows()[0]["category"] == "apple"


@pytest.fixture
def judge(tmp_path: Path, serve: Serve, open_page: OpenPage) -> tuple[Person, Served]:
    """Somebody before the masks of a run."""
    (tmp_path / "images").mkdir()
    Image.fromarray(draw_scene(160, 120)).save(tmp_path / "images" / "a.png")
    run = RunParameters(
        inputs=(str(tmp_path / "images"),), output=str(tmp_path / "run"), points_per_side=6
    )
    run_steps(run)
    served = serve(Path(run.inputs[0]), Path(run.output))
    return open_page(size=(160, 120), served=served), served


def test_masks_of_a_run_are_accepted_rejected_and_named(judge: tuple[Person, Served]) -> None:
    person, served = judge
    count = len(served.read("masks/a.png.json")["masks"])
    wait_for(lambda: len(person.rows()) == count)
    listed = person.page.locator("#objects li")
    listed.nth(0).get_by_role("button", name="Reject").click()
    wait_for(lambda: len(served.rows()) == 1)
    listed.nth(1).get_by_role("button", name="Accept").click()
    wait_for(lambda: len(served.rows()) == 2)
    person.page.get_by_label("Category of object 2").fill("ball")
    person.press("Tab")
    wait_for(lambda: served.rows()[1].get("category") == "ball")
    assert [row["verdict"] for row in served.rows()] == ["reject", "accept"]
    assert len(served.read("masks/a.png.json")["masks"]) == count
    person.page.locator("#stage").focus()
    person.press("z", "z", "z")
    wait_for(lambda: len(served.rows()) == 0)


def test_masks_of_a_run_are_judged_by_clicks(judge: tuple[Person, Served]) -> None:
    person, served = judge
    person.press("v")
    person.click((40, 50))
    wait_for(lambda: len(served.rows()) == 1)
    assert served.rows()[0]["verdict"] == "accept"
    person.click((40, 50))
    wait_for(lambda: served.rows()[0]["verdict"] == "reject")


def test_mask_of_a_run_is_corrected(judge: tuple[Person, Served]) -> None:
    person, served = judge
    before = served.read("masks/a.png.json")["masks"][0]
    person.press("n", "Enter", "d")
    person.drag((5, 110), (60, 110))
    person.press("Enter")
    wait_for(lambda: len(served.rows()) == 1)
    after = served.read("masks/a.png.json")["masks"][0]
    assert after["area"] != before["area"] and after["verdict"] == "accept"
    assert after["predicted_iou"] == pytest.approx(before["predicted_iou"])
    person.press("z")
    wait_for(lambda: len(served.rows()) == 0)
    wait_for(lambda: served.read("masks/a.png.json")["masks"][0]["area"] == before["area"])


def test_click_on_a_mask_of_a_run_asks_about_its_box(judge: tuple[Person, Served]) -> None:
    person, served = judge
    left, top, width, height = served.read("masks/a.png.json")["masks"][0]["bbox"]
    person.press("n", "Enter")
    person.hears("Correct it")
    person.click((150, 110), button="right")
    person.hears("Enter accepts")
    person.press("Enter")
    wait_for(lambda: len(served.rows()) == 1)
    prompt = served.read("masks/a.png.json")["masks"][0]["prompt"]
    assert prompt["box"] == [left, top, left + width + 1, top + height + 1]
    assert prompt["labels"] == [0]
