"""The page as a file: its figures, its policy, and how its pictures are read."""

from __future__ import annotations

import functools
import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.report import html
from pipeline.report.html import Gallery
from pipeline.report.metrics import LastRun, RunMetrics
from pipeline.run.manifest import ManifestRow
from pipeline.run.parameters import RunParameters
from pipeline.steps.write_report import finished_images
from serving.storage import LocalFolder
from tests.pipeline.report.conftest import OpenPage, synthetic_content, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def tiles(tmp_path: Path, computed: int) -> dict[str, str]:
    """The figures at the head of a page of three images, of which the last run computed some."""
    gallery, metrics = Gallery(LocalFolder(tmp_path), 1000, 10), RunMetrics()
    for number in range(3):
        row = ManifestRow(image=f"{number}.png", status="done", masks=2, seconds=1.0)
        gallery.add(row, synthetic_content(2), [])
        metrics.add(row, synthetic_content(2))
    shard = {
        "started": 0.0, "ended": 2.0, "wall_seconds": 2.0, "load_seconds": 0.0,
        "busy_seconds": 1.0, "peak_memory_bytes": 0, "restarts": 0,
    }  # fmt: skip
    page = gallery.page(metrics.to_json("local", LastRun(computed, 2.0, [shard]), {})).decode()
    return {
        name: value for value, name in re.findall(r'class="tile"><b>(.*?)</b><span>(.*?)<', page)
    }


def test_page_of_a_resumed_run_says_what_it_computed(tmp_path: Path) -> None:
    """Pace is of the images that were computed; where there are none, there is no pace."""
    assert tiles(tmp_path, 0)["computed by the last run"] == "0 of 3"
    assert "images/s" not in tiles(tmp_path, 0)
    assert tiles(tmp_path, 1)["computed by the last run"] == "1 of 3"
    assert tiles(tmp_path, 1)["images/s"] == "0.50"
    assert "computed by the last run" not in tiles(tmp_path, 3)
    assert tiles(tmp_path, 3)["images/s"] == "1.50"


@pytest.fixture
def paged(small_run: RunParameters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page of the small run as that of a large one: pictures and details lie beside it."""
    monkeypatch.setattr(html, "MOST_INLINE", 1)
    output = tmp_path / "out"
    output.mkdir()
    for path in Path(small_run.output).iterdir():
        if path.name != "report.html":
            (output / path.name).symlink_to(path)
    gallery = Gallery(LocalFolder(output), 4, small_run.max_masks)
    metrics = json.loads((output / "metrics.json").read_text())
    for line in (output / "manifest.jsonl").read_text().splitlines():
        row = ManifestRow(**json.loads(line))
        masks = output / "masks" / f"{row.image}.json"
        gallery.add(row, json.loads(masks.read_text()) if masks.exists() else None, [])
    (output / "report.html").write_bytes(gallery.page(metrics))
    return output / "report.html"


@pytest.fixture
def server(paged: Path) -> Iterator[str]:
    """The same page, served; yields its address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=paged.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/report.html"
        server.shutdown()


@pytest.mark.parametrize("origin", ["disk", "server"])
def test_page_policy_permits_its_data_and_pictures(
    open_page: OpenPage, paged: Path, request: pytest.FixtureRequest, origin: str
) -> None:
    location = paged if origin == "disk" else request.getfixturevalue("server")
    page = open_page(location)
    wait_until(page, "document.querySelectorAll('article .pair').length === 3")
    page.evaluate("document.querySelectorAll('img').forEach(n => n.loading = 'eager')")
    loaded = "n => n.complete && n.naturalWidth"
    wait_until(page, f"[...document.querySelectorAll('img')].every({loaded})")


def test_page_policy_forbids_everything_else(chromium: Browser, paged: Path) -> None:
    page = chromium.new_page()
    page.goto(paged.as_uri())
    violations = page.evaluate("""() => new Promise(resolve => {
        const directives = [];
        document.addEventListener("securitypolicyviolation", event => {
            directives.push(event.effectiveDirective);
            if (directives.length === 3) resolve(directives.sort());
        });
        const script = document.createElement("script");
        script.text = "window.injected = true";
        document.body.append(script);
        document.body.setAttribute("onclick", "window.injected = true");
        document.body.click();  // newer browsers look at a handler only when it is called
        fetch("report.html").catch(() => {});
    })""")
    assert violations == ["connect-src", "script-src-attr", "script-src-elem"]
    assert page.evaluate("window.injected") is None
    page.close()


class SlowFolder(LocalFolder):
    """A folder as far away as a bucket, which counts how many of its files are read at once."""

    readers = 6

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reading = self.most_reading = 0
        self._lock = threading.Lock()

    def read_bytes(self, name: str) -> bytes:
        with self._lock:
            self.reading += 1
            self.most_reading = max(self.most_reading, self.reading)
        time.sleep(0.02)
        content = super().read_bytes(name)
        with self._lock:
            self.reading -= 1
        return content


def test_pictures_of_several_images_are_read_at_once_and_kept_in_order(
    small_run: RunParameters,
) -> None:
    folder = SlowFolder(Path(small_run.output))
    gallery = Gallery(folder, 4, small_run.max_masks)
    images = list(finished_images(folder, gallery))
    assert [image.name for image, _, _ in images] == [
        "a.png", "b.jpg", "broken <i>.png", "more/c.webp",
    ]  # fmt: skip
    assert 2 < folder.most_reading <= folder.readers + 1
    counts = [len(pictures) for _, _, pictures in images]
    assert counts == [0 if content is None else 2 + min(len(content["masks"]), 10)
                      for _, content, _ in images]  # fmt: skip
