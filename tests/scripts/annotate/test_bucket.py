"""Images and annotations in a bucket."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pipeline.run.claim import claimed
from pipeline.run.input_images import find_images
from pipeline.run.parameters import RunParameters
from scripts.annotate.objects import make_record, parse_object
from scripts.annotate.segmenters import Segmenter
from scripts.annotate.shelf import ImageShelf
from scripts.annotate.store import AnnotationStore
from serving.storage import open_folder
from tests.scripts.annotate.conftest import ABOUT


def test_bucket_holds_images_and_annotations(
    bucket: Callable[[str], str], photos: Path, segmenter: Segmenter
) -> None:
    source = open_folder(bucket("photos"))
    source.write_bytes("a.png", (photos / "a.png").read_bytes(), "image/png")
    output = open_folder(bucket("annotated"))
    images = find_images(RunParameters(inputs=(source.uri,), output=output.uri))
    image = ImageShelf(images).get(0)
    body = {"prompt": {"points": [[80, 100]]}, "category": "apple"}
    with claimed(output, "annotate-1"):
        store = AnnotationStore(output, ABOUT)
        store.put(image, make_record(parse_object("x", body, image), image, segmenter))
        store.close()
        again = AnnotationStore(output, ABOUT)
        assert [record["id"] for record in again.objects(image)] == ["x"]
        again.close()
    prompts = json.loads(output.read_bytes("prompts.json"))
    assert prompts["a.png"][0]["category"] == "apple"
    content = json.loads(output.read_bytes("masks/a.png.json"))
    assert content["digest"] == image.source.digest != ""
    assert output.exists("annotations.json") and output.exists("overlays/a.png.png")
