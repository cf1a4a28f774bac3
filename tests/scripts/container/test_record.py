"""The last image is remembered beside the outputs, and the file is never half there."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.container.record import BuiltImage, last_built_image, write_record

BUILT = BuiltImage(image="r/sam@sha256:1", tag="abc", revision="abc", dirty=False, builder="docker")


def test_last_image_is_remembered_beside_the_outputs(tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.json"
    assert last_built_image(outputs) == ""
    write_record(outputs, BUILT)
    assert last_built_image(outputs) == BUILT.image
    assert [path.name for path in tmp_path.iterdir()] == ["image.json"]
    assert json.loads((tmp_path / "image.json").read_text())["builder"] == "docker"
