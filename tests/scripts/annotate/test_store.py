"""The annotations in a folder: what a full disk or a kill leaves is made up for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunParameters
from scripts.annotate.app import AnnotationServer
from scripts.annotate.errors import AnnotateError
from scripts.annotate.objects import make_record, parse_object
from scripts.annotate.saved.background import BackgroundWriter
from scripts.annotate.saved.store import AnnotationStore
from scripts.annotate.segmenters import Segmenter
from scripts.annotate.shelf import ImageShelf, OpenImage
from serving.storage import WORK, StorageError, open_folder
from serving.storage.checksums import md5_of_bytes
from tests.scripts.annotate.browser import wait_for
from tests.scripts.annotate.conftest import ABOUT


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def shelf(photos: Path, output: Path) -> ImageShelf:
    return ImageShelf(find_images(RunParameters(inputs=(str(photos),), output=str(output))))


@pytest.fixture
def image(shelf: ImageShelf) -> OpenImage:
    return shelf.get(0)


def opened(output: Path) -> AnnotationStore:
    return AnnotationStore(open_folder(str(output)), ABOUT)


def painted(name: str, image: OpenImage, segmenter: Segmenter, x: float = 40) -> dict[str, object]:
    body = {"strokes": [{"mode": "add", "radius": 6, "points": [[x, 40]]}], "category": "blot"}
    return make_record(parse_object(name, body, image), image, segmenter)


def objects_in_coco(output: Path) -> int:
    return len(json.loads((output / "annotations.json").read_text("utf-8"))["annotations"])


def block(path: Path) -> None:
    """Let a file be unwritable, as on a full disk."""
    path.mkdir()
    (path / "in the way").touch()


def unblock(path: Path) -> None:
    (path / "in the way").unlink()
    path.rmdir()


@pytest.mark.parametrize("blocked", ["annotations.json", "overlays/a.png.png"])
def test_what_cannot_be_written_is_said_at_the_end_and_written_when_it_can_be(
    output: Path, image: OpenImage, segmenter: Segmenter, blocked: str
) -> None:
    (output / "overlays").mkdir()
    block(output / blocked)
    store = opened(output)
    store.put(image, painted("x", image, segmenter))
    with pytest.raises(StorageError, match=blocked):
        store.close()
    unblock(output / blocked)
    store.close()
    assert objects_in_coco(output) == 1
    assert (output / "overlays" / "a.png.png").stat().st_size > 0


def test_data_sets_that_cannot_be_written_are_said_and_tried_again(
    output: Path, image: OpenImage, segmenter: Segmenter, capsys: pytest.CaptureFixture[str]
) -> None:
    block(output / "annotations.json")
    store = opened(output)
    store.put(image, painted("x", image, segmenter))
    said = [""]

    def is_said() -> bool:
        said[0] += capsys.readouterr().err
        return "annotations.json" in said[0] and "not written yet" in said[0]

    wait_for(is_said)
    unblock(output / "annotations.json")
    store.put(image, painted("y", image, segmenter))
    store.close()
    assert objects_in_coco(output) == 2


def test_kill_before_data_sets_and_pictures_are_written_is_made_up_for(
    output: Path,
    shelf: ImageShelf,
    image: OpenImage,
    segmenter: Segmenter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = opened(output)
    store.put(image, painted("x", image, segmenter))
    store.close()
    assert objects_in_coco(output) == 1
    with monkeypatch.context() as killed:
        killed.setattr(BackgroundWriter, "_keep_writing", lambda _: None)
        opened(output).put(image, painted("y", image, segmenter, x=80))
    assert objects_in_coco(output) == 1
    open_folder(str(output)).delete_folder(WORK)  # as a run over the same output does
    overlay = output / "overlays" / "a.png.png"
    drawn = overlay.read_bytes()
    store = opened(output)
    AnnotationServer(shelf, store, segmenter)
    store.close()
    assert objects_in_coco(output) == 2
    assert overlay.read_bytes() != drawn
    assert not (output / ".annotating.json").exists()


def test_masks_of_another_image_of_the_same_name_and_size_are_refused(
    output: Path, image: OpenImage, segmenter: Segmenter
) -> None:
    store = opened(output)
    store.put(image, painted("x", image, segmenter))
    digest = md5_of_bytes(b"of another photograph")
    other = dataclasses.replace(image, digest=digest)
    with pytest.raises(AnnotateError, match="another image of this name"):
        store.objects(other)
    with pytest.raises(AnnotateError, match="another image of this name"):
        store.put(other, painted("y", other, segmenter))
    composed = dataclasses.replace(image, digest="crc32c:AAAAAA==")  # tells nothing against an MD5
    assert len(store.objects(composed)) == 1
    store.close()
