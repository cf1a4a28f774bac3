"""Uploads into a bucket of the storage stand-in: sent once, checked, refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunParameters
from scripts.cloud.uploads import upload_file, upload_images
from scripts.terminal.errors import OperatorError
from scripts.terminal.progress import Meter
from serving.sam.checkpoints import file_sha256
from serving.storage import open_folder
from serving.storage.client import storage_client


class Recorder(Meter):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.updates: list[tuple[float, float | None]] = []

    def update(self, done: float, total: float | None, note: str = "") -> None:
        self.updates.append((done, total))


def test_upload_file_sends_new_content_only(bucket: Callable[[str], str], tmp_path: Path) -> None:
    path, bar = tmp_path / "vit.pth", Recorder()
    path.write_bytes(b"x" * 3_000_000)
    uri = bucket("sam-checkpoint/vit.pth")
    assert upload_file(path, uri, bar)
    assert bar.updates[-1] == (3_000_000, 3_000_000)
    assert not upload_file(path, uri, bar), "the same content is there"
    name, _, key = uri.removeprefix("gs://").partition("/")
    assert storage_client().bucket(name).get_blob(key).metadata == {"sha256": file_sha256(path)}
    path.write_bytes(b"y" * 3_000_000)
    assert upload_file(path, uri, bar)
    assert open_folder(bucket("sam-checkpoint")).read_bytes("vit.pth") == path.read_bytes()


@pytest.mark.parametrize("uri", ["/local/file", "gs://bucket", "gs://bucket/"])
def test_upload_file_to_no_object_is_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(OperatorError, match="expected gs://bucket/folder"):
        upload_file(tmp_path / "x", uri, Recorder())


def test_upload_file_to_a_missing_bucket_names_the_grant(
    bucket: Callable[[str], str], tmp_path: Path
) -> None:
    bucket("")
    (tmp_path / "x").write_bytes(b"x")
    with pytest.raises(OperatorError, match="cannot upload to gs://no-such-bucket/x") as caught:
        upload_file(tmp_path / "x", "gs://no-such-bucket/x", Recorder())
    assert "roles/storage.objectUser" in caught.value.hint


def test_upload_images_sends_new_content_only(
    bucket: Callable[[str], str], image_folder: Path
) -> None:
    images = find_images(RunParameters(inputs=(str(image_folder),), output=bucket("images")))
    folder, bar = open_folder(bucket("images")), Recorder()
    assert upload_images(images, folder, bar) == 3
    assert bar.updates[-1] == (3, 3)
    (image_folder / "a.png").write_bytes((image_folder / "b.jpg").read_bytes())
    assert upload_images(images, folder, bar) == 1
    name, _, key = bucket("images/more/c.webp").removeprefix("gs://").partition("/")
    assert storage_client().bucket(name).get_blob(key).content_type == "image/webp"
