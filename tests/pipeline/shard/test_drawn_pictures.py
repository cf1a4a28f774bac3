"""What ``--pictures`` draws, what it leaves out, and that no mask depends on it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.run import parameters
from pipeline.run.parameters import MOST_WITH_ALL_PICTURES, RunParameters
from pipeline.shard import pictures
from pipeline.shard.pictures import decode_once, draw_overlay, draw_segments, outline_paths
from scripts.notebooks.pictures import show_gallery
from serving.sam import Engine
from serving.sam.errors import ParameterError
from serving.sam.masks import MaskRecord, encode_mask
from tests.pipeline.conftest import changed, run_steps

IMAGES = {"a.png", "b.jpg", "more/c.webp"}


def drawn(run: RunParameters, folder: str) -> set[str]:
    """The files below a folder of the output."""
    top = Path(run.output, folder)
    return {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}


def masks_of(run: RunParameters) -> dict[str, list[MaskRecord]]:
    contents = [json.loads(path.read_text()) for path in Path(run.output, "masks").rglob("*.json")]
    return {content["image"]: content["masks"] for content in contents}


def test_other_pictures_are_drawn_and_removed_and_compute_no_mask_again(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_steps(changed(local_run, pictures="none"))
    assert drawn(local_run, "overlays") == drawn(local_run, "segments") == set()
    masks = masks_of(local_run)
    assert set(masks) == IMAGES
    report = Path(local_run.output, "report.md").read_text()
    assert report.count("No picture was drawn of it") == 3 and "![" not in report
    assert '"drawn":"none"' in Path(local_run.output, "report.html").read_text()
    capsys.readouterr()
    show_gallery(local_run.output)
    assert "no overlays here" in capsys.readouterr().out

    monkeypatch.delattr(Engine, "generate")
    monkeypatch.delattr(Engine, "embed")
    assert run_steps(local_run).failed == 0  # all, since they are three
    assert drawn(local_run, "overlays") == {f"{name}.png" for name in IMAGES}
    assert drawn(local_run, "segments") >= {f"{name}/00.png" for name in IMAGES}

    monkeypatch.setattr(parameters, "MOST_WITH_ALL_PICTURES", 2)
    assert run_steps(local_run).failed == 0  # overlays, since they are more than that
    assert drawn(local_run, "overlays") == {f"{name}.webp" for name in IMAGES}
    assert drawn(local_run, "segments") == set()
    assert Image.open(Path(local_run.output, "overlays", "b.jpg.webp")).format == "WEBP"
    report = Path(local_run.output, "report.md").read_text()
    assert "![all masks](overlays/b.jpg.webp)" in report and "segments/" not in report
    metrics = json.loads(Path(local_run.output, "metrics.json").read_text())
    assert metrics["settings"]["pictures"] == "overlays" and metrics["run"]["redrawn"] == 3
    assert masks_of(local_run) == masks

    assert run_steps(changed(local_run, pictures="none")).failed == 0
    assert drawn(local_run, "overlays") == set()


def test_large_runs_draw_overlays_unless_asked() -> None:
    run = RunParameters(inputs=("photos",), output="out")
    assert run.drawn(MOST_WITH_ALL_PICTURES) == "all"
    assert run.drawn(MOST_WITH_ALL_PICTURES + 1) == "overlays"
    assert changed(run, pictures="all").drawn(MOST_WITH_ALL_PICTURES + 1) == "all"
    with pytest.raises(ParameterError, match="--pictures: expected none, overlays, all, got 'png'"):
        changed(run, pictures="png")


@pytest.mark.parametrize("room", [2**20, 2 * 60 * 80, 0], ids=["all", "two", "none"])
def test_a_mask_is_decoded_once_for_all_pictures_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    decoded: list[MaskRecord] = []
    real = pictures.decode_record

    def counting(record: MaskRecord) -> np.ndarray:
        decoded.append(record)
        return real(record)

    monkeypatch.setattr(pictures, "decode_record", counting)
    monkeypatch.setattr(pictures, "_KEPT_BYTES", room)
    image = np.full((60, 80, 3), 100, np.uint8)
    records = []
    for number in range(5):
        mask = np.zeros((60, 80), bool)
        mask[number * 10 : number * 10 + 15, 10:40] = True
        records.append(MaskRecord(segmentation=encode_mask(mask), area=int(mask.sum())))
    decode = decode_once(records, 3)
    overlay = draw_overlay(image, records, decode)
    segments = list(draw_segments(image, records, 3, decode))
    outlines = outline_paths(image, records, 3, decode)
    kept = min(room // (60 * 80), 3)
    assert len(decoded) == 5 + 2 * (3 - kept)
    assert (overlay == draw_overlay(image, records)).all()
    for one, other in zip(segments, draw_segments(image, records, 3), strict=True):
        assert (one == other).all()
    assert outlines == outline_paths(image, records, 3)
