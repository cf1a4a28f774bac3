"""The plan deals every image once, balanced by pixels, and names what it cannot use."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.run.manifest import DamagedFileError, read_plan
from pipeline.run.output_layout import PLAN
from pipeline.run.parameters import RunError, RunParameters
from pipeline.steps.plan_shards import plan_shards
from serving.sam.errors import CheckpointError
from serving.storage import StorageError, open_folder
from tests.conftest import draw_scene
from tests.pipeline.conftest import changed, run_steps


def dealt(run: RunParameters) -> list[list[str]]:
    output = open_folder(run.output)
    return [
        [image.name for image in read_plan(output, f".run/{shard}.plan.jsonl")]
        for shard in plan_shards(run)
    ]


def test_plan_deals_every_image_once(local_run: RunParameters, image_folder: Path) -> None:
    for number in range(20):
        Image.new("RGB", (8, 8)).save(image_folder / f"n{number}.png")
    shards = dealt(changed(local_run, shards=4))
    assert sorted(len(names) for names in shards) == [5, 6, 6, 6]
    assert all(names == sorted(names) for names in shards)
    output = open_folder(local_run.output)
    planned = [image.name for image in read_plan(output, PLAN)]
    assert sorted(name for names in shards for name in names) == planned


def test_plan_balances_by_pixels_not_by_number(tmp_path: Path) -> None:
    """Two giants of 9 megapixels and eighteen dwarfs: a giant is worth ten of them."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(2):
        Image.new("L", (3000, 3000)).save(images / f"giant{number}.png")
    for number in range(18):
        Image.new("L", (10, 10)).save(images / f"dwarf{number:02d}.png")
    run = RunParameters(inputs=(str(images),), output=str(tmp_path / "out"), shards=4)
    shards = dealt(run)
    assert sorted(len(names) for names in shards) == [1, 1, 9, 9]
    for names in shards:
        assert len(names) == 9 or names[0].startswith("giant")


def test_plan_and_report_of_many_images_fit_a_small_machine(tmp_path: Path) -> None:
    """A gigabyte for a million images, with a hundred megabytes for the program itself."""
    images = tmp_path / "images"
    images.mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "one.png")

    def peak(count: int, step: Callable[[RunParameters], object]) -> int:
        for number in range(count):
            (images / f"{number:06d}.png").unlink(missing_ok=True)
            (images / f"{number:06d}.png").hardlink_to(tmp_path / "one.png")
        tracemalloc.start()
        try:
            step(RunParameters(inputs=(str(images),), output=str(tmp_path / "out"), shards=4))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = peak(200, plan_shards)
    assert (peak(3200, plan_shards) - few) / 3000 < 900


def test_plan_of_a_bucket_looks_at_a_sample_and_infers_the_rest(
    bucket: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pixels per byte of the sampled files of a kind give the pixels of the others."""
    from pipeline.run import image_weights

    monkeypatch.setattr(image_weights, "MOST_HEADS", 5)
    folder = open_folder(bucket("images"))
    path = tmp_path / "x.bmp"
    for number in range(10):
        side = 900 if number == 9 else 30
        Image.new("RGB", (side, side)).save(path)
        folder.write_bytes(f"{number}.bmp", path.read_bytes(), "image/bmp")
    run = RunParameters(inputs=(bucket("images"),), output=bucket("out"), shards=2)
    monkeypatch.setattr(image_weights, "PIXELS_OF_ANY_IMAGE", 100)
    assert ["9.bmp"] in dealt(run)


def test_only_failed_takes_up_what_is_in_quarantine(
    local_run: RunParameters, image_folder: Path
) -> None:
    """Not what is new, and not what is done; it stays in the report."""
    with pytest.raises(RunError, match="nothing to retry"):
        plan_shards(changed(local_run, only_failed=True))
    (image_folder / "bad.png").write_bytes(b"")
    (image_folder / "worse.png").write_bytes(b"")
    run_steps(local_run)
    output = open_folder(local_run.output)
    rows = [json.loads(line) for line in output.read_bytes("failed.jsonl").splitlines()]
    assert {row["image"] for row in rows} == {"bad.png", "worse.png"}
    assert all("empty" in row["reason"] for row in rows)
    Image.fromarray(draw_scene(64, 64)).save(image_folder / "bad.png")
    Image.fromarray(draw_scene(64, 64)).save(image_folder / "new.png")
    summary = run_steps(changed(local_run, only_failed=True))
    assert (summary.images, summary.failed, summary.computed) == (5, 1, 1)


@pytest.mark.parametrize(
    "line",
    [
        b'{"image": "a.p',
        b'["a.png"]',
        b'{"picture": "a.png"}',
        b'{"image": 7}',
        b'{"image": "\xff"}',
    ],
    ids=["cut", "a list", "another's", "a number", "not UTF-8"],
)
def test_damaged_list_of_failures_is_named_with_its_line(
    local_run: RunParameters, line: bytes
) -> None:
    output = open_folder(local_run.output)
    row = b'{"image": "bad.png", "status": "failed"}\n'
    output.write_bytes("failed.jsonl", row + line + b"\n", "application/jsonl")
    with pytest.raises(DamagedFileError, match=r"failed\.jsonl: line 2 is none") as caught:
        plan_shards(changed(local_run, only_failed=True))
    assert "without --only-failed" in caught.value.hint


def test_plan_shards_unknown_checkpoint_is_named(local_run: RunParameters) -> None:
    for checkpoint, reason in (("/no/such.pth", "no such checkpoint"), ("vit_b", "fetch it first")):
        run = RunParameters.from_json(local_run.to_json().replace("vit_tiny", checkpoint))
        with pytest.raises(CheckpointError, match=reason):
            plan_shards(run)


def test_plan_shards_unreadable_image_becomes_a_failed_row(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a file whose permissions forbid reading it."""
    from serving.storage import LocalFolder

    def forbidden(self: LocalFolder, name: str) -> str:
        raise StorageError(f"{self.uri_of(name)}: Permission denied")

    with monkeypatch.context() as only_here:
        only_here.setattr(LocalFolder, "digest", forbidden)
        only_here.setattr(
            "pipeline.steps.plan_shards.checkpoint_identity", lambda checkpoint: checkpoint
        )
        shards = plan_shards(local_run)
        planned = list(read_plan(open_folder(local_run.output), PLAN))
    assert shards == ["shard-0000"]
    assert {image.digest for image in planned} == {"unreadable"}


def test_only_failed_never_drops_what_an_earlier_run_finished(local_run: RunParameters) -> None:
    """Other settings would make every finished image unfinished, and the results empty."""
    Path(local_run.inputs[0], "broken.png").write_bytes(b"no image")
    run_steps(local_run)
    manifest = Path(local_run.output, "manifest.jsonl").read_bytes()
    with pytest.raises(RunError, match="would drop 2 finished images"):
        plan_shards(changed(local_run, points_per_side=7, only_failed=True))
    assert Path(local_run.output, "manifest.jsonl").read_bytes() == manifest
