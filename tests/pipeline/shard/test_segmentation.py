"""A shard: resumed, atomic; a bad image becomes a failed row."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pipeline.run.manifest import PlannedImage, read_json
from pipeline.run.parameters import RunParameters
from pipeline.shard import segmentation, worker
from pipeline.shard.image_in_hand import RestartPolicy
from pipeline.shard.lost_device import EXIT_CODE, LostDeviceError, NoAcceleratorError
from pipeline.shard.segmentation import segment_images
from pipeline.steps.plan_shards import plan_shards
from pipeline.steps.write_report import write_report
from serving.sam.checkpoints import load_checkpoint
from serving.sam.engine import Engine
from serving.sam.families.preprocessing import LongestSide
from serving.sam.images import RgbImage
from serving.sam.masks import MaskRecord
from serving.storage import StorageError, open_folder
from tests.conftest import draw_scene
from tests.pipeline.conftest import changed, run_steps


def test_figures_say_how_busy_the_network_was(local_run: RunParameters) -> None:
    run_steps(local_run)
    run = read_json(open_folder(local_run.output), "metrics.json")["run"]
    assert 0 < run["busy_share"] <= 1
    assert run["computed"] == 3 and run["restarts"] == 0 and run["shards"] == 1
    assert 50e6 < run["peak_memory_bytes"] < 8e9


def test_wild_names_become_safe_ones(tmp_path: Path) -> None:
    """Bytes that are no text, control characters, names with no room for a suffix."""
    png = tmp_path / "x.png"
    Image.fromarray(draw_scene(40, 40)).save(png)
    first, second = tmp_path / "first", tmp_path / "second"
    (second / "a.png").mkdir(parents=True)
    first.mkdir()
    wild = [
        b"a.png",
        b"x" * 250 + b".png",
        b"tab\tnew\nline.png",
        b"\xff\xfe.png",
        "ä.png".encode(),
    ]
    for name in wild:
        Path(os.fsdecode(os.fsencode(first) + b"/" + name)).write_bytes(png.read_bytes())
    (second / "a.png" / "b.png").write_bytes(png.read_bytes())
    run = RunParameters(
        inputs=(str(first), str(second)), output=str(tmp_path / "out"), points_per_side=1, shards=2
    )
    summary = run_steps(run)
    assert (summary.images, summary.failed) == (6, 0)
    rows = Path(run.output, "manifest.jsonl").read_text().splitlines()
    names = {json.loads(row)["image"] for row in rows}
    assert {"a.png", "second/a.png/b.png", "ä.png", "tab_new_line.png"} <= names
    assert all(len(name) < 240 and name.isprintable() for name in names)
    # An image's name is never another's folder, so the second one has its input folder's before it.
    segments = Path(run.output, "segments")
    assert (segments / "a.png" / "00.png").exists()
    assert (segments / "second" / "a.png" / "b.png" / "00.png").exists()
    assert run_steps(run).computed == 0


def test_giant_header_is_a_failed_row(tmp_path: Path) -> None:
    """A PNG that says it has 10^10 pixels costs nothing but its row."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0"))
    images = tmp_path / "images"
    images.mkdir()
    (images / "bomb.png").write_bytes(bomb)
    (images / "text.jpg").write_text("no image")
    Image.fromarray(draw_scene(40, 40)).save(images / "really.png")
    (images / "really.png").rename(images / "misnamed.jpg")
    run = RunParameters(
        inputs=(str(images),), output=str(tmp_path / "out"), points_per_side=1, max_failed=1.0
    )
    assert run_steps(run).failed == 2
    reasons = Path(run.output, "failed.jsonl").read_text()
    assert "pixels" in reasons and "not an image" in reasons


def test_skipped_image_is_a_failed_row_with_its_reason(local_run: RunParameters) -> None:
    (shard,) = plan_shards(local_run)
    rows = segment_images(local_run, shard, RestartPolicy(skip={"b.jpg": "b.jpg: kills"}))
    assert write_report(local_run, [rows], "local").failed == 1
    assert "b.jpg: kills" in Path(local_run.output, "failed.jsonl").read_text()


def test_shard_retried_skips_what_its_first_try_finished(local_run: RunParameters) -> None:
    """What Kubeflow does after a crash: the same shard again, with the same plan."""
    (shard,) = plan_shards(local_run)
    segment_images(local_run, shard)
    first = Path(local_run.output, "masks", "b.jpg.json")
    before = first.stat().st_mtime_ns
    Path(local_run.output, "masks", "a.png.json").unlink()
    rows = segment_images(local_run, shard)
    assert first.stat().st_mtime_ns == before
    assert len(open_folder(local_run.output).read_bytes(rows).splitlines()) == 3


def test_shard_checkpoint_in_a_bucket(
    local_run: RunParameters, bucket: Callable[[str], str]
) -> None:
    from serving.sam.known_checkpoints import CHECKPOINTS

    entry = CHECKPOINTS["vit_tiny"]
    assert entry.embedded_path is not None
    folder = open_folder(bucket("sam-checkpoint"))
    folder.write_bytes(
        entry.file_name, entry.embedded_path.read_bytes(), "application/octet-stream"
    )
    uri = bucket(f"sam-checkpoint/{entry.file_name}")
    run = RunParameters.from_json(local_run.to_json().replace('"vit_tiny"', f'"{uri}"'))
    assert run_steps(run).failed == 0


def test_shard_unwritable_output_ends_the_step(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is not the fault of the image in hand: the run stops and keeps what it has."""
    (shard,) = plan_shards(local_run)
    from serving.storage import LocalFolder

    write = LocalFolder.write_bytes

    def full(self: LocalFolder, name: str, content: bytes, content_type: str) -> None:
        if name.startswith("overlays/b"):
            raise StorageError(f"{self.uri_of(name)}: No space left on device")
        write(self, name, content, content_type)

    monkeypatch.setattr(LocalFolder, "write_bytes", full)
    with pytest.raises(StorageError, match="No space left"):
        segment_images(local_run, shard)
    assert Path(local_run.output, "masks/a.png.json").exists()
    assert not Path(local_run.output, "masks/b.jpg.json").exists()


def test_image_that_cannot_be_drawn_is_a_failed_row(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It once ended the step at the same image, again and again."""
    from pipeline.shard import segmentation
    from pipeline.shard.image_outputs import draw_pictures

    def failing(image: PlannedImage, *rest: Any) -> list[tuple[str, bytes]]:
        if image.name == "b.jpg":
            raise MemoryError("no room for the overlay")
        return draw_pictures(image, *rest)

    monkeypatch.setattr(segmentation, "draw_pictures", failing)
    summary = run_steps(local_run)
    assert (summary.images, summary.failed, summary.computed) == (3, 1, 2)
    reason = Path(local_run.output, "failed.jsonl").read_text()
    assert "b.jpg: unexpected MemoryError: no room for the overlay" in reason


def test_failed_image_keeps_no_pictures_of_better_days(
    local_run: RunParameters, image_folder: Path
) -> None:
    run_steps(local_run)
    output = Path(local_run.output)
    assert (output / "segments/b.jpg/00.png").exists()
    (image_folder / "b.jpg").write_text("no image any more")
    assert run_steps(local_run).failed == 1
    left = [path for path in output.rglob("*") if path.is_file() and "b.jpg" in str(path)]
    assert left == []
    assert (output / "segments/a.png/00.png").exists()


@pytest.mark.parametrize(
    "message",
    ["CUDA error: an illegal memory access was encountered", "cuDNN error: EXECUTION_FAILED"],
)
def test_lost_gpu_ends_the_process_and_fails_no_image(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    """Every later call of the process would fail too: 9 of 12 images once became failed rows."""
    (shard,) = plan_shards(local_run)
    calls = 0

    def generate(*_arguments: object, **_options: object) -> list[MaskRecord]:
        nonlocal calls
        calls += 1
        raise RuntimeError(message)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "generate", generate)
        with pytest.raises(LostDeviceError, match=r"b\.jpg"):
            segment_images(local_run, shard)
    assert calls == 1
    rows = segment_images(local_run, shard)  # the next process
    assert write_report(local_run, [rows], "local").failed == 0


@pytest.mark.parametrize("failing", ["load", "settle_precision", "describe_device"])
def test_gpu_that_is_lost_while_the_network_loads_is_the_next_processes_matter(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """It ended the whole shard, where a process later might have gone on."""
    run = dataclasses.replace(local_run, precision="bf16")
    (shard,) = plan_shards(run)

    def lost(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("CUDA error: unknown error")

    monkeypatch.setattr(Engine if failing == "load" else segmentation, failing, lost)
    with pytest.raises(LostDeviceError, match="while the network was loaded: CUDA error"):
        segment_images(run, shard)


def test_worker_tells_its_step_of_a_lost_gpu_by_its_exit_code(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    order = {
        "parameters": local_run.to_json(),
        "shard": "shard-0000",
        "restart_policy": {},
        "note": str(tmp_path / "note"),
        "result": str(tmp_path / "result"),
    }

    def segment(*_arguments: object) -> str:
        raise LostDeviceError("a.png: CUDA error")

    monkeypatch.setattr(worker, "segment_images", segment)
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(order)))
    with pytest.raises(SystemExit) as ended:
        worker.main()
    assert ended.value.code == EXIT_CODE
    assert not Path(local_run.output, ".run/error.json").exists()


def test_shard_whose_gpu_is_paid_for_does_not_compute_without_it(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It took ten to a hundred times as long, at the GPU's price, and nobody knew."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    (shard,) = plan_shards(local_run)
    with pytest.raises(NoAcceleratorError, match="without its GPU") as caught:
        segment_images(changed(local_run, device="cuda"), shard)
    assert not caught.value.callers_fault
    assert not list(Path(local_run.output).glob("masks/*"))


def test_metrics_say_what_the_shards_computed_on(local_run: RunParameters) -> None:
    run_steps(changed(local_run, shards=2))
    (machine,) = json.loads(Path(local_run.output, "metrics.json").read_text())["run"]["machines"]
    assert machine["shards"] == 2 and machine["precision"] == "fp32"
    assert machine["device"] and machine["name"]


def test_another_number_of_pictures_computes_no_mask_again(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_steps(local_run)
    masks = {
        path: json.loads(path.read_text())
        for path in Path(local_run.output, "masks").rglob("*.json")
    }
    monkeypatch.delattr(Engine, "generate")
    monkeypatch.delattr(Engine, "embed")
    summary = run_steps(changed(local_run, max_masks=1))
    assert (summary.images, summary.failed) == (3, 0)
    for path, before in masks.items():
        after = json.loads(path.read_text())
        assert after["masks"] == before["masks"]
        assert after["seconds"]["segment"] == before["seconds"]["segment"]
        assert len(after["outlines"]["paths"]) == min(len(before["masks"]), 1)
        segments = Path(local_run.output, "segments", after["image"])
        assert len(list(segments.glob("*.png"))) == 1 + min(len(before["masks"]), 1)
    metrics = json.loads(Path(local_run.output, "metrics.json").read_text())
    assert metrics["run"]["redrawn"] == 3


def test_half_precision_that_is_no_good_is_not_used(
    local_run: RunParameters, tmp_path: Path
) -> None:
    """Weights that bfloat16's 8 digits cannot hold beside a large number."""
    state = load_checkpoint("vit_tiny").sam.state_dict()
    block = "image_encoder.blocks.1.mlp"
    weight = state[f"{block}.lin2.weight"]
    state[f"{block}.lin1.bias"] = state[f"{block}.lin1.bias"] + 70_000
    state[f"{block}.lin2.bias"] = state[f"{block}.lin2.bias"] - 70_000 * weight.sum(1)
    torch.save(state, tmp_path / "large.pth")
    run = changed(local_run, checkpoint=str(tmp_path / "large.pth"), precision="bf16")
    run_steps(run)
    masks = json.loads((Path(run.output) / "masks" / "b.jpg.json").read_text())
    assert masks["precision"] == "fp32"


def test_images_are_shrunk_by_the_threads_that_read_them(
    local_run: RunParameters, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a GPU does not wait for them; one that is too narrow is a failed row as before."""
    narrow = Path(local_run.inputs[0]) / "narrow.png"
    Image.new("RGB", (600, 1)).save(narrow)
    threads: list[str] = []
    shrink = LongestSide.shrink

    def noted(own: LongestSide, image: RgbImage) -> RgbImage:
        threads.append(threading.current_thread().name)
        return shrink(own, image)

    monkeypatch.setattr(LongestSide, "shrink", noted)
    summary = run_steps(local_run)
    assert (summary.images, summary.failed) == (4, 1)
    (row,) = Path(local_run.output, "failed.jsonl").read_text().splitlines()
    assert "600x1 pixels" in json.loads(row)["reason"]
    assert len(threads) == 3
    assert threading.main_thread().name not in threads
