"""A page of images of which the run drew only overlays, or nothing, in a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.report.html import Gallery
from pipeline.report.metrics import LastRun, RunMetrics
from pipeline.run.manifest import ManifestRow
from pipeline.shard.pictures import encode_webp
from serving.storage import LocalFolder
from tests.pipeline.report.conftest import OpenPage, synthetic_content, wait_until

NOT_DRAWN = "No picture was drawn of it (--pictures none)."


@pytest.mark.parametrize("images", [2, 1000], ids=["in the page", "beside it"])
def test_page_shows_what_was_drawn_and_says_where_nothing_was(
    open_page: OpenPage, tmp_path: Path, images: int
) -> None:
    overlay = encode_webp(np.full((300, 400, 3), 90, np.uint8), 400)
    LocalFolder(tmp_path).write_bytes("overlays/a b.png.webp", overlay, "image/webp")
    gallery, metrics = Gallery(LocalFolder(tmp_path), images, 10), RunMetrics()
    for name, drawn in (("a b.png", "overlays"), ("c.png", "none")):
        content = synthetic_content(20) | {"pictures": drawn}
        row = ManifestRow(image=name, status="done", masks=20, seconds=1.0)
        gallery.add(row, content, gallery.inline_pictures(name, content))
        metrics.add(row, content)
    path = tmp_path / "report.html"
    path.write_bytes(gallery.page(metrics.to_json("local", LastRun(2, 2.0, []), {})))

    for layout in ("", "layout=sheet"):
        page = open_page(path, layout)
        wait_until(page, "document.querySelectorAll('article')[1]?.innerText.includes('No pict')")
        wait_until(page, "[...document.images].map(i => i.naturalWidth).join() === '400'")
        assert NOT_DRAWN in page.locator("article").nth(1).inner_text()
        shown, card = page.locator("article img").first, page.locator("article").first
        share = "e => e.getBoundingClientRect().width"
        assert shown.evaluate(share) > 0.6 * card.evaluate(share), "no half is empty"
        page.locator("article [data-view='all']").click()
        page.locator("#canvas img").wait_for()
        assert page.locator("#viewer-title").inner_text() == "a b.png: all masks"
        page.get_by_label("Next image").click()
        wait_until(page, "!document.querySelector('#canvas img')")
        assert page.locator("#canvas").inner_text() == NOT_DRAWN
        page.get_by_label("Zoom in").click()
        page.get_by_label("Previous image").click()
        page.locator("#canvas img").wait_for()
