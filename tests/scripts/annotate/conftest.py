"""A served page over three images, in this process, which a test may stop and start again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunParameters
from scripts.annotate.app import AnnotationServer
from scripts.annotate.guard import Access
from scripts.annotate.saved.store import AnnotationStore
from scripts.annotate.segmenters import LocalSegmenter, Segmenter
from scripts.annotate.server import Server, bind
from scripts.annotate.shelf import ImageShelf
from serving.storage import open_folder
from tests.conftest import draw_scene
from tests.scripts.annotate.browser import Person

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from serving.sam.engine import Engine

ABOUT = {"checkpoint": {"name": "vit_tiny", "sha256": ""}, "precision": "fp32", "device": "cpu"}
SIZES = {"a.png": (320, 240), "b.jpg": (240, 320), "c.png": (160, 160)}


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes, upright and wide."""
    folder = tmp_path_factory.mktemp("photos")
    for name, (width, height) in SIZES.items():
        Image.fromarray(draw_scene(width, height)).save(folder / name)
    return folder


class Served:
    """The annotation server on a port of its own."""

    def __init__(self, photos: Path, output: Path, segmenter: Segmenter, token: str = "") -> None:
        self.photos, self.output, self._segmenter, self._token = photos, output, segmenter, token
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start it, again on the same port."""
        listener = bind("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        images = find_images(RunParameters(inputs=(str(self.photos),), output=str(self.output)))
        self.store = AnnotationStore(open_folder(str(self.output)), ABOUT)
        server = AnnotationServer(ImageShelf(images), self.store, self._segmenter)
        self.app = server.app(Access(port=self.port, token=self._token))
        started = threading.Event()
        self._server = Server(self.app, started.set)
        self._thread = threading.Thread(target=lambda: self._server.run([listener]), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        """End it; what it has not saved is lost."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(10)

    @property
    def address(self) -> str:
        """The page's."""
        return f"http://127.0.0.1:{self.port}/"

    def read(self, name: str) -> Any:
        """A JSON file of the output."""
        return json.loads((self.output / name).read_text("utf-8"))

    def rows(self) -> list[dict[str, Any]]:
        """The verdicts; none where there is no list of them yet."""
        path = self.output / "reviewed.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]


Serve = Callable[..., Served]


@pytest.fixture(scope="session")
def segmenter(engine: Engine) -> Segmenter:
    """The embedded checkpoint on the CPU."""
    return LocalSegmenter(engine)


@pytest.fixture
def serve(photos: Path, tmp_path: Path, segmenter: Segmenter) -> Iterator[Serve]:
    """Starts servers, over the three images and an empty output unless told otherwise."""
    all_served: list[Served] = []

    def started(
        folder: Path = photos, output: Path | None = None, token: str = "", maker: Any = None
    ) -> Served:
        served = Served(folder, output or tmp_path / "out", maker or segmenter, token)
        all_served.append(served)
        return served

    yield started
    for served in all_served:
        served.stop()
        served.store.close()


@pytest.fixture
def served(serve: Serve) -> Served:
    """A server over the three images and an empty output."""
    return serve()


OpenPage = Callable[..., Person]


@pytest.fixture
def open_page(chromium: Browser, served: Served) -> Iterator[OpenPage]:
    """Opens the page in a tab; an error on its console that nobody expects fails the test."""
    errors: list[str] = []
    people: list[Person] = []
    contexts = []

    def note(line: str) -> None:
        expected = [person.tolerated for person in people if person.tolerated]
        if not any(text in line for text in ("ERR_CONNECTION", *expected)):
            errors.append(line)  # a connection is lost when a test stops its server

    def opened(
        fragment: str = "",
        size: tuple[int, int] = (320, 240),
        served: Served = served,
        **options: Any,
    ) -> Person:
        options = {"viewport": {"width": 1100, "height": 700}, **options}
        context = options.pop("context", None) or chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: note(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{served.address}#{fragment}")
        people.append(Person(page, size))
        return people[-1]

    yield opened
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def person(open_page: OpenPage) -> Person:
    """Somebody at the first image."""
    return open_page()
