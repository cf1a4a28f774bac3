"""Images and annotations in a bucket."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from pipeline.run import claim
from pipeline.run.claim import Claim, ClaimLostError, claimed
from pipeline.run.input_images import find_images
from pipeline.run.output_layout import LOCK
from pipeline.run.parameters import RunParameters
from scripts.annotate.objects import make_record, parse_object
from scripts.annotate.saved.store import AnnotationStore
from scripts.annotate.segmenters import Segmenter
from scripts.annotate.server import Server
from scripts.annotate.shelf import ImageShelf
from scripts.commands.annotate import annotate
from scripts.terminal.errors import OperatorError
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


def test_who_has_lost_the_output_writes_nothing_more(
    bucket: Callable[[str], str], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that slept while another took over; the command runs, but for its socket."""
    output = open_folder(bucket("annotated"))
    statuses: list[int] = []

    def answer(server: Server, sockets: list[socket.socket]) -> None:
        output.write_bytes(LOCK, Claim("another", 120.0).to_json(), "application/json")
        base = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
        time.sleep(0.2)  # more than a quarter of what the claim lasts
        client = TestClient(server.config.app, base_url=base, headers={"Origin": base})
        body = {"strokes": [{"mode": "add", "radius": 6, "points": [[40, 40]]}]}
        statuses.append(client.put("/api/images/0/objects/x", json=body).status_code)

    monkeypatch.setattr(Server, "run", answer)
    monkeypatch.setattr(claim, "PROCESS_SECONDS", 0.4)
    with pytest.raises(OperatorError, match="another run has taken over") as error:
        annotate([str(photos)], output.uri, checkpoint="vit_tiny", port=0)
    assert isinstance(error.value.__cause__, ClaimLostError)
    assert statuses == [503]
    assert not list(output.files("masks/")) and not output.exists("prompts.json")
