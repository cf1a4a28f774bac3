"""The last image is remembered beside the outputs, and the file is never half there."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.container.record import BuiltImages, last_steps_image, write_record

BUILT = BuiltImages(
    image="r/sam@sha256:1", steps_image="r/sam-steps@sha256:2", tag="abc", revision="abc",
    dirty=False, builder="docker",
)  # fmt: skip


def test_last_image_is_remembered_beside_the_outputs(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    assert last_steps_image(outputs) == ""
    write_record(outputs, BUILT)
    assert last_steps_image(outputs) == BUILT.steps_image
    assert [path.name for path in tmp_path.iterdir()] == ["image.json"]
    assert json.loads((tmp_path / "image.json").read_text())["builder"] == "docker"
