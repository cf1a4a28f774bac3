"""An export that was killed, or over a run that has changed, ends as if nothing had been."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.run.manifest import PlannedImage, write_plan
from pipeline.run.output_layout import PLAN, REVIEWED
from scripts.export import exporting
from scripts.export.exporting import export
from scripts.export.formats import FORMATS
from serving.storage import Folder, open_folder
from tests.scripts.export.outputs import (
    Bar,
    exported,
    hard_masks,
    record,
    write_image,
    write_photo,
)


@pytest.mark.parametrize("name", list(FORMATS))
@pytest.mark.parametrize("place", ["local", "bucket"])
def test_killed_export_goes_on_and_equals_an_undisturbed_one(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    name: str,
    place: str,
) -> None:
    monkeypatch.setattr(exporting, "MOST_IMAGES", 2)
    output = tmp_path / "out"
    write_photo(tmp_path / "photo.png")
    about = {"source": str(tmp_path / "photo.png"), "digest": ""}
    for number in range(5):
        ring = record(hard_masks()["ring"], category=f"c{number}")
        write_image(output, f"{number}.png", [ring], **about)
    target = str(tmp_path / "killed")
    if place == "bucket":
        bucket: Callable[[str], str] = request.getfixturevalue("bucket")
        target = bucket("export")
    chosen = FORMATS[name]
    turns: list[Any] = []

    def killed(part: Any, images: Any) -> None:
        if turns:
            raise KeyboardInterrupt
        turns.append(part)
        chosen.write(part, images)

    with monkeypatch.context() as patch:
        patch.setitem(FORMATS, name, dataclasses.replace(chosen, write=killed))
        with pytest.raises(KeyboardInterrupt):
            exported(output, name, target)
    again = exported(output, name, target)
    assert (again.parts, again.kept, again.masks) == (3, 1, 5)
    exported(output, name, tmp_path / "whole")
    assert _content(open_folder(target)) == _content(open_folder(str(tmp_path / "whole")))


def _content(folder: Folder) -> dict[str, bytes]:
    return {file.name: folder.read_bytes(file.name) for file in folder.files()}


def test_export_writes_anew_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "MOST_IMAGES", 1)
    ring = record(hard_masks()["ring"])
    for name in ("a.png", "b.png", "c.png"):
        write_image(tmp_path / "out", name, [ring])
    exported(tmp_path / "out", "coco-rle", tmp_path / "to")
    assert exported(tmp_path / "out", "coco-rle", tmp_path / "to").kept == 3
    write_image(tmp_path / "out", "c.png", [ring, ring])
    assert exported(tmp_path / "out", "coco-rle", tmp_path / "to").kept == 2
    write_image(tmp_path / "out", "a.png", [ring, ring])  # moves the numbers of the others
    assert exported(tmp_path / "out", "coco-rle", tmp_path / "to").kept == 0
    ids = [a["id"] for part in range(3)
           for a in json.loads((tmp_path / f"to/annotations-{part:05d}.json").read_text())
           ["annotations"]]  # fmt: skip
    assert ids == [1, 2, 3, 4, 5]
    (tmp_path / "out/masks/b.png.json").unlink()
    (tmp_path / "out/masks/c.png.json").unlink()
    exported(tmp_path / "out", "coco-rle", tmp_path / "to")
    assert [path.name for path in (tmp_path / "to").glob("*.json")] == ["annotations.json"]


def test_what_an_export_notes_grows_with_its_parts_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One note a part; all in one file, 100,000 images wrote 66 GB of names."""
    monkeypatch.setattr(exporting, "MOST_IMAGES", 1)
    written: list[int] = []
    to = open_folder(str(tmp_path / "to"))
    write_bytes = to.write_bytes

    def counted(name: str, content: bytes, content_type: str) -> None:
        if ".run/" in name:
            written.append(len(content))
        write_bytes(name, content, content_type)

    monkeypatch.setattr(to, "write_bytes", counted)
    for number in range(12):
        write_image(tmp_path / "out", f"{number:02d}.png", [record(hard_masks()["dot"])])
    output = open_folder(str(tmp_path / "out"))
    export(output, "sa1b", to, reviewed=False, image_prefix="", bar=Bar())
    assert len(written) == 12 and max(written) - min(written) < 10


def test_run_in_a_bucket_is_exported_as_one_here(
    tmp_path: Path, bucket: Callable[[str], str]
) -> None:
    """Every format, with the original image beside the run; only its address differs."""
    here, there = tmp_path / "out", open_folder(bucket("out"))
    write_photo(tmp_path / "a.png")
    masks = [record(mask, category=key) for key, mask in hard_masks().items()]
    write_image(here, "a.png", masks, source=str(tmp_path / "a.png"), digest="")
    there.upload("photos/a.png", tmp_path / "a.png", "image/png")
    there.upload("masks/a.png.json", here / "masks" / "a.png.json", "application/json")
    prefix = there.uri_of("photos/")
    for name in FORMATS:
        exported(there.uri, name, exporting.open_target(there, name, "").uri, prefix=prefix)
        exported(here, name, tmp_path / name, prefix=prefix)
        in_bucket = _content(open_folder(there.uri_of(f"exports/{name}")))
        assert in_bucket == _content(open_folder(str(tmp_path / name))) != {}


def test_image_that_left_the_run_leaves_the_export(tmp_path: Path) -> None:
    """Its owner removed it from the inputs; what somebody reviewed stays, whatever the run has."""
    out, ring = tmp_path / "out", record(hard_masks()["ring"])
    for name in ("kept.png", "gone.png", "clicked.png"):
        write_image(out, name, [ring])
    assert exported(out, "coco-rle", tmp_path / "to").images == 3  # annotated, never run
    planned = PlannedImage(
        name="kept.png", folder="photos", file="kept.png", digest="", prompts=[], fingerprint=""
    )
    write_plan(open_folder(str(out)), PLAN, [planned])
    (out / REVIEWED).write_text('{"image": "clicked.png", "mask": 0, "verdict": "accept"}\n')
    made = exported(out, "coco-rle", tmp_path / "to")
    assert (made.images, made.gone) == (2, 1)
    assert "gone.png" not in (tmp_path / "to" / "annotations.json").read_text()


@pytest.mark.parametrize("name", ["yolo", "sa1b", "cutouts", "label-maps"])
def test_files_of_an_image_go_with_it(tmp_path: Path, name: str) -> None:
    """And not because the original is away for a while."""
    ring = record(hard_masks()["ring"])
    for image in ("a.png", "b.png"):
        write_photo(tmp_path / image)
        about = {"source": str(tmp_path / image), "digest": ""}
        write_image(tmp_path / "out", image, [ring], **about)
    exported(tmp_path / "out", name, tmp_path / "to")
    both = _content(open_folder(str(tmp_path / "to")))
    assert any("a" in Path(file).parts[-1] or "a.png" in file for file in both)
    if name == "cutouts":
        (tmp_path / "a.png").unlink()
        write_image(tmp_path / "out", "b.png", [ring, ring], **about)  # so that the part is written
        assert exported(tmp_path / "out", name, tmp_path / "to").left_out
        assert both.keys() <= _content(open_folder(str(tmp_path / "to"))).keys()
    (tmp_path / "out" / "masks" / "a.png.json").unlink()
    exported(tmp_path / "out", name, tmp_path / "to")
    left = _content(open_folder(str(tmp_path / "to"))).keys() - {"data.yaml"}
    assert left and all("b" in Path(file).parts[-1] or "b.png" in file for file in left)
