"""A list of verdicts that is damaged, or about images that have gone, ends no run."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.run.manifest import PlannedImage
from pipeline.run.reviewed import keep_reviewed, reviewed_images
from serving.storage import LocalFolder


def planned(name: str) -> PlannedImage:
    return PlannedImage(
        name=name, folder="f", file=name, digest="md5:1", prompts=[], fingerprint="0" * 32
    )


def test_fingerprints_of_reviewed_masks_are_planned(tmp_path: Path) -> None:
    folder = LocalFolder(tmp_path)
    assert keep_reviewed(folder, [planned("a.png")]) == [planned("a.png")]
    lines = ["{", "[]", '{"image": "gone.png"}', '{"image": "other.png"}', '{"image": "cut.png"}']
    (tmp_path / "reviewed.jsonl").write_text("\n".join([*lines, '{"image": "a.png"}', ""]))
    assert reviewed_images(folder) == {"gone.png", "other.png", "cut.png", "a.png"}
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, digest in (("a.png", "md5:1"), ("other.png", "md5:2"), ("new.png", "md5:1")):
        content = {"fingerprint": name[0] * 32, "digest": digest}
        (masks / f"{name}.json").write_text(json.dumps(content))
    (masks / "cut.png.json").write_text('{"fingerp')
    names = ["a.png", "cut.png", "gone.png", "new.png", "other.png"]
    kept = keep_reviewed(folder, [planned(name) for name in names])
    assert [image.fingerprint[0] for image in kept] == ["a", "0", "0", "0", "0"]
