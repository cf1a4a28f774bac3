"""Cut-outs hold the image's own pixels inside a mask, label maps every mask's number."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.export import part as export_part
from scripts.export.exporting import Exported
from scripts.terminal.errors import OperatorError
from serving.storage.checksums import md5_digest
from tests.command_line import sam_vertex
from tests.scripts.export.outputs import exported, hard_masks, record, write_image, write_photo


def test_cutouts_are_the_masks_pixels_and_nothing_else(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photos/a.png")
    masks = list(hard_masks().values())
    nothing = np.zeros((120, 160), bool)
    records = [record(mask) for mask in (*masks, nothing)]
    source = tmp_path / "photos/a.png"
    write_image(tmp_path / "out", "a.png", records, source=str(source), digest=md5_digest(source))
    made = exported(tmp_path / "out", "cutouts", tmp_path / "to")
    assert (made.images, made.masks, made.left_out) == (1, len(masks), [])
    assert len(list((tmp_path / "to/a.png").iterdir())) == len(masks)
    for number, mask in enumerate(masks):
        with Image.open(tmp_path / f"to/a.png/{number:03d}.png") as image:
            assert image.mode == "RGBA"
            cutout = np.asarray(image)
        ys, xs = np.nonzero(mask)
        box = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
        assert (cutout[:, :, 3] == np.where(mask[box], 255, 0)).all()
        assert (cutout[mask[box]][:, :3] == photo[mask]).all()
        assert not cutout[~mask[box]].any()


def test_cutouts_of_masks_that_are_gone_are_removed(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png")
    source = {"source": str(tmp_path / "a.png"), "digest": ""}
    ring = hard_masks()["ring"]
    write_image(tmp_path / "out", "a.png", [record(ring)] * 3, **source)
    write_image(tmp_path / "out", "a.png/b.png", [record(ring)], **source)
    exported(tmp_path / "out", "cutouts", tmp_path / "to")
    rejected = [record(ring, verdict="reject"), record(ring)]
    write_image(tmp_path / "out", "a.png", rejected, **source)
    exported(tmp_path / "out", "cutouts", tmp_path / "to")
    target = tmp_path / "to"
    left = sorted(str(p.relative_to(target)) for p in target.rglob("*.png") if p.is_file())
    assert left == ["a.png/001.png", "a.png/b.png/000.png"]


def outputs_of_three(folder: Path) -> Path:
    """A run of an image that is there, one that is gone and one that has changed."""
    ring = record(hard_masks()["ring"])
    for name in ("changed.png", "gone.png", "here.png"):
        path = folder / "photos" / name
        write_photo(path)
        write_image(folder / "out", name, [ring], source=str(path), digest=md5_digest(path))
    (folder / "moved").mkdir()
    for name in ("changed.png", "gone.png"):
        (folder / "photos" / name).rename(folder / "moved" / name)
    Image.new("RGB", (160, 120)).save(folder / "photos/changed.png")
    return folder / "out"


def test_images_that_cannot_be_read_are_left_out_until_they_can(tmp_path: Path) -> None:
    output = outputs_of_three(tmp_path)
    done = sam_vertex("export", output, "--to", "cutouts", "-o", tmp_path / "to")
    assert done.returncode == 2
    assert "left out 2 images: changed.png:" in done.stderr and "gone.png: cannot" in done.stderr
    assert "--image-prefix" in done.stderr
    assert [path.name for path in (tmp_path / "to").glob("*.png")] == ["here.png"]
    (tmp_path / "photos/here.png").rename(tmp_path / "moved/here.png")
    made: Exported = exported(output, "cutouts", tmp_path / "to", prefix=f"{tmp_path}/moved/")
    assert (made.images, made.left_out) == (3, [])


def test_the_same_command_writes_what_was_left_out(tmp_path: Path) -> None:
    output = outputs_of_three(tmp_path)
    assert len(exported(output, "cutouts", tmp_path / "to").left_out) == 2
    for name in ("changed.png", "gone.png"):
        (tmp_path / "moved" / name).rename(tmp_path / "photos" / name)
    assert exported(output, "cutouts", tmp_path / "to").left_out == []
    assert exported(output, "cutouts", tmp_path / "to").kept == 1


def test_an_export_without_its_images_ends_early(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_part, "_MOST_LEFT_OUT", 2)
    with pytest.raises(OperatorError, match=r"2 images cannot be read, the last one gone\.png"):
        exported(outputs_of_three(tmp_path), "cutouts", tmp_path / "to")


def test_label_maps_number_the_masks_and_show_small_ones_above(tmp_path: Path) -> None:
    masks = hard_masks()
    large, small, rejected = masks["everything"], masks["dot"], masks["ring"]
    records = [record(small), record(rejected, verdict="reject"), record(large)]
    write_image(tmp_path / "out", "more/a.jpg", records)
    write_image(tmp_path / "out", "none.png", [])
    made = exported(tmp_path / "out", "label-maps", tmp_path / "to")
    assert (made.images, made.masks) == (2, 2)
    with Image.open(tmp_path / "to/more/a.jpg.png") as image:
        assert image.mode == "I;16"
        labels = np.asarray(image)
    assert (labels == np.where(small, 1, 3)).all()
    with Image.open(tmp_path / "to/none.png.png") as image:
        assert image.size == (160, 120) and not np.asarray(image).any()


def test_more_masks_than_16_bits_number_are_refused(tmp_path: Path) -> None:
    dot = {"segmentation": record(hard_masks()["dot"])["segmentation"]}
    write_image(tmp_path / "out", "a.png", [dot] * 65536)
    path = tmp_path / "out/masks/a.png.json"
    content = json.loads(path.read_text())
    rejected = {**dot, "verdict": "reject"}
    path.write_text(json.dumps({**content, "masks": [rejected] * 65535 + [dot]}))
    with pytest.raises(OperatorError, match=r"a\.png: mask 65536; 16 bits number 65535"):
        exported(tmp_path / "out", "label-maps", tmp_path / "to")
