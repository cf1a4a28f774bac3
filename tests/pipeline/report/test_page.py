"""The gallery in a real browser: paged at 10,000 images, filtered, toggled, zoomed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.html import Gallery
from pipeline.report.metrics import LastRun, RunMetrics
from pipeline.run.manifest import ManifestRow
from pipeline.run.parameters import RunParameters
from serving.storage import LocalFolder
from tests.browser import PROGRAM, Page, browser
from tests.pipeline.conftest import run_steps

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no Chromium on this machine")
MANY = 10_000


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as found:
        yield found


def masks_of(number: int) -> int:
    return number % 40


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 10,000 images, every hundredth of them failed; without the pictures."""
    folder = LocalFolder(tmp_path_factory.mktemp("large"))
    gallery, metrics = Gallery(folder, MANY, 10), RunMetrics()
    for number in range(MANY):
        name = f"batch/{number:05d}.jpg"
        if number % 100 == 99:
            row, content = ManifestRow(image=name, status="failed", reason="no image"), None
        else:
            count = masks_of(number)
            mask = {"predicted_iou": 0.9, "area": 1000 + number}
            content = {
                "width": 640, "height": 480, "mode": "prompted" if number % 5 == 0 else "automatic",
                "masks": [mask] * count, "seconds": {"segment": 0.5},
                "checkpoint": {"name": "vit_b"}, "precision": "fp32", "device": "cuda",
                "outlines": {"width": 400, "height": 300, "paths": ["M1 1L9 1Z"] * min(count, 9)},
            }  # fmt: skip
            row = ManifestRow(image=name, status="done", masks=count, seconds=float(number))
        gallery.add(row, content)
        metrics.add(row, content)
    figures = metrics.to_json("vertex", LastRun(MANY, 3600.0, []), {})
    path = folder.path / "report.html"
    path.write_bytes(gallery.page(figures))
    return path


def all_of(selector: str, rest: str) -> str:
    """An expression over all elements that fit."""
    return f"[...document.querySelectorAll({selector!r})].{rest}"


def names(page: Page) -> list[str]:
    found: list[str] = page.run(
        "[...document.querySelectorAll('article h2')].map(n => n.innerText)"
    )
    return found


def shown(page: Page) -> str:
    return str(page.run("document.querySelector('.pager span').innerText"))


def test_page_of_10000_images_holds_24_and_loads_what_it_shows(page: Page, large: Path) -> None:
    assert large.stat().st_size < 1_000_000
    page.open(large)
    assert names(page)[0] == "batch/00000.jpg" and len(names(page)) == 24
    assert shown(page) == "page 1 of 417, 10,000 images"
    page.until("document.querySelectorAll('article .pair').length === 24")
    assert page.run("document.querySelectorAll('script[src]').length") == 1
    page.click(".pager [data-turn='1']")
    assert names(page)[0] == "batch/00024.jpg"
    page.open(large, "page=417")
    page.until("document.querySelectorAll('script[src]').length === 1")
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
    ],
)
def test_page_is_filtered_and_ordered_and_the_address_says_how(
    page: Page, large: Path, state: str, count: int | None, first: str
) -> None:
    page.open(large, state)
    assert names(page)[0] == first
    if count is None:  # a quarter of the images, those with equal counts included
        total = int(shown(page).split(", ")[1].replace(",", "").split()[0])
        assert 2400 < total < 2900
    elif count > 24:
        assert shown(page).endswith(f"{count:,} images")
    else:
        assert len(names(page)) == count


def test_page_says_when_nothing_fits(page: Page, large: Path) -> None:
    page.open(large, "text=nowhere")
    assert names(page) == []
    assert page.run("!document.getElementById('nothing').hidden")


@pytest.fixture
def small(local_run: RunParameters, image_folder: Path) -> Path:
    (image_folder / "broken <i>.png").write_bytes(b"")
    run_steps(local_run)
    return Path(local_run.output, "report.html")


def test_masks_are_toggled_one_by_one_and_together(page: Page, small: Path) -> None:
    page.open(small, "text=a.png")
    page.until("document.querySelectorAll('.toggles button').length > 2")
    visible = all_of("article path", "filter(p => !p.hasAttribute('hidden')).length")
    count = page.run("document.querySelectorAll('article path').length")
    assert count == 2 == page.run(visible)
    page.click(".toggles button:nth-child(2)")
    assert page.run(visible) == 1
    # The button's own mask: the best is drawn last, so that it lies on top.
    assert page.run("document.querySelector('article svg').lastElementChild.hasAttribute('hidden')")
    page.click(".toggles button:nth-child(1)")
    assert page.run(visible) == 0
    page.click(".toggles button:nth-child(1)")
    assert page.run(visible) == 2
    # An outline covers what its mask covers; this image is smaller than the page's frame.
    box = page.run(
        "(() => { const b = document.querySelector('article svg').lastElementChild.getBBox();"
        " return [b.x, b.y, b.x + b.width, b.y + b.height]; })()"
    )
    record = json.loads((small.parent / "masks" / "a.png.json").read_text())["masks"][0]
    x, y, width, _ = record["bbox"]
    assert box[:3] == pytest.approx([x, y, x + width], abs=2)


def test_viewer_opens_zooms_and_closes(page: Page, small: Path) -> None:
    page.open(small)
    page.until("document.querySelectorAll('article .open img').length > 5")
    page.click("article .open")
    assert page.run("document.getElementById('viewer').open")
    width = "document.querySelector('.canvas .stack').getBoundingClientRect().width"
    before = page.run(width)
    page.click("[data-zoom='1.25']")
    assert page.run(width) == pytest.approx(before * 1.25, rel=0.03)
    page.click("[data-masks]")
    assert page.run("document.querySelector('.canvas svg').hasAttribute('hidden')")
    page.click("[data-close]")
    assert not page.run("document.getElementById('viewer').open")


@pytest.mark.parametrize("width", [360, 1280])
def test_page_fits_phone_and_desk_and_everything_has_a_name(
    page: Page, small: Path, width: int
) -> None:
    """No sideways scrolling; every control and picture is named; no error on the console."""
    page.errors.clear()
    page.open(small, width=width)
    page.until("document.querySelectorAll('article .open img').length > 5")
    assert page.run("document.documentElement.scrollWidth") <= width
    unnamed: Any = page.run(
        all_of(
            "button, input, select, img, dialog, nav",
            "filter(n => !(n.getAttribute('aria-label') || n.alt || n.innerText || '').trim())"
            ".map(n => n.outerHTML)",
        )
    )
    assert unnamed == []
    assert page.run(
        "[...document.querySelectorAll('img')].every(n => n.complete && n.naturalWidth)"
    )
    assert "broken <i>.png" in names(page)
    assert page.errors == []
