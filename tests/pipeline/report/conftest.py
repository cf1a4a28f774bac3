"""Pages of a small and of a large run, and a browser's tab that tolerates no error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.report.html import Gallery
from pipeline.report.metrics import LastRun, RunMetrics
from pipeline.run.manifest import ManifestRow
from pipeline.run.parameters import RunParameters
from serving.storage import LocalFolder
from tests.conftest import draw_image_folder
from tests.pipeline.conftest import run_steps, write_prompts

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

MANY = 10_000
OpenPage = Callable[..., "Page"]


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """Opens a file or an address in a tab of its own; an error on its console fails the test.

    What the page's policy forbids is such an error. That a picture is missing is none here: the
    large run has no pictures.
    """
    errors: list[str] = []
    contexts = []

    def note(line: str) -> None:
        if "ERR_FILE_NOT_FOUND" not in line:
            errors.append(line)

    def opened(
        location: Path | str, fragment: str = "", *, width: int = 1280, **options: Any
    ) -> Page:
        context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: note(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: note(str(error)))
        address = location if isinstance(location, str) else location.resolve().as_uri()
        page.goto(f"{address}#{fragment}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


def wait_until(page: Page, expression: str) -> None:
    """Wait for a JavaScript expression to be true.

    Playwright's own way evaluates text inside the page, which the page's policy forbids.
    """
    deadline = time.monotonic() + 20
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.02)


def synthetic_content(masks: int, mode: str = "automatic") -> dict[str, Any]:
    """A masks file with that many masks, as far as the reports read it."""
    return {
        "width": 640,
        "height": 480,
        "mode": mode,
        "masks": [{"predicted_iou": 0.9, "area": 1000, "bbox": [10, 10, 40, 25]}] * masks,
        "seconds": {"segment": 0.5},
        "checkpoint": {"name": "vit_b"},
        "precision": "fp32",
        "device": "cuda",
        "outlines": {"width": 400, "height": 300, "paths": ["M1 1L9 1Z"] * min(masks, 9)},
    }


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of 10,000 images, every hundredth of them failed; without the pictures."""
    folder = LocalFolder(tmp_path_factory.mktemp("large"))
    gallery, metrics = Gallery(folder, MANY, 10), RunMetrics()
    for number in range(MANY):
        name = f"batch/{number:05d}.jpg"
        content: dict[str, Any] | None = None
        row = ManifestRow(image=name, status="failed", reason=f"{name}: no image")
        if number % 100 != 99:
            masks = number % 40
            content = synthetic_content(masks, "prompted" if number % 5 == 0 else "automatic")
            row = ManifestRow(image=name, status="done", masks=masks, seconds=float(number))
        gallery.add(row, content, [])
        metrics.add(row, content)
    path = folder.path / "report.html"
    path.write_bytes(gallery.page(metrics.to_json("vertex", LastRun(MANY, 3600.0, []), {})))
    return path


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> RunParameters:
    """A finished run of three images, one of them with two prompts, and a broken file."""
    folder = tmp_path_factory.mktemp("small")
    images = draw_image_folder(folder / "images")
    (images / "broken <i>.png").write_bytes(b"")
    run = RunParameters(
        inputs=(str(images),),
        output=str(folder / "out"),
        prompts=write_prompts(folder / "prompts.json"),
        points_per_side=4,
    )
    run_steps(run)
    return run


@pytest.fixture(scope="session")
def small(small_run: RunParameters) -> Path:
    """The page of that run, which holds its pictures."""
    return Path(small_run.output, "report.html")
