"""The input of a batch prediction: a line for each kind of prompt, every image by its URI."""

from __future__ import annotations

import json
from pathlib import Path

from pipeline.run.input_images import InputImage
from scripts.batch_predictions.input_lines import (
    INSTANCES,
    input_lines,
    line_key,
    upload_images,
    write_lines,
)
from serving.sam.prompts import Prompt
from serving.storage import open_folder
from tests.conftest import draw_scene
from tests.serving.conftest import png

CLICK = Prompt(points=((80.0, 95.0),), labels=(1,))
BOX = Prompt(box_xyxy=(30.0, 45.0, 130.0, 145.0))
BOTH = Prompt(points=((80.0, 95.0), (5.0, 5.0)), labels=(1, 0), box_xyxy=(30.0, 45.0, 130.0, 145.0))


def test_objects_of_different_kinds_go_in_lines_of_their_own(tmp_path: Path) -> None:
    """They are known without the image: there is none here."""
    folder, job = open_folder(str(tmp_path)), open_folder(str(tmp_path / "job"))
    image = InputImage(name="a.png", folder=folder, file="a.png", prompts=(CLICK, BOX, CLICK, BOTH))
    lines = input_lines(image, job, ["gs://b/"])
    assert [(line.objects, line.instance.get("multimask_output", False)) for line in lines] == [
        ((0, 2), True), ((1,), False), ((3,), False),
    ]  # fmt: skip
    assert len({line_key(line.instance) for line in lines}) == 3
    echoed = json.loads(json.dumps(lines[0].instance).replace("80.0", "80"))
    assert line_key(echoed) == line_key(lines[0].instance)


def test_images_of_this_machine_are_uploaded_once_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(draw_scene()))
    folder, job = open_folder(str(tmp_path)), open_folder(str(tmp_path / "job"))
    images = [InputImage(name="a.png", folder=folder, file="a.png")]
    (line,) = input_lines(images[0], job, ["gs://b/"])
    assert line.instance == {"file_path": "a.png", "image_uri": job.uri_of("images/a.png")}
    digests = {"a.png": folder.digest("a.png")}
    assert upload_images(images, digests, job, ["gs://b/"]) == {}
    assert job.read_bytes("images/a.png") == (tmp_path / "a.png").read_bytes()


def test_image_that_cannot_be_read_has_a_reason_and_no_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(draw_scene()))
    (tmp_path / "b.png").write_bytes(b"no image")
    folder, job = open_folder(str(tmp_path)), open_folder(str(tmp_path / "job"))
    images = [
        InputImage(name=name, folder=folder, file=name) for name in ("a.png", "b.png", "c.png")
    ]
    unreadable = upload_images(images, dict.fromkeys(("a.png", "b.png", "c.png"), ""), job, [])
    assert set(unreadable) == {"b.png", "c.png"}
    lines = [line for image in images for line in input_lines(image, job, [])]
    write_lines(lines, job, unreadable)
    (written,) = map(json.loads, job.read_bytes(INSTANCES).splitlines())
    assert written == lines[0].instance
