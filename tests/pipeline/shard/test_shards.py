"""Shards: balanced by pixels, watched by their step; what kills a process costs one image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipeline.run.input_images import output_name
from pipeline.run.manifest import read_json, read_plan
from pipeline.run.output_layout import PLAN
from pipeline.run.parameters import RunError, RunParameters, parse_max_failed
from pipeline.shard.image_in_hand import InHand, LastNote, RestartPolicy, read_last_note
from pipeline.shard.segmentation import segment_images
from pipeline.steps.plan_shards import plan_shards
from pipeline.steps.write_report import write_report
from scripts.checkout import ROOT
from serving.sam.errors import ParameterError
from serving.storage import open_folder
from tests.conftest import draw_scene
from tests.pipeline.conftest import run_steps


def changed(run: RunParameters, **changes: object) -> RunParameters:
    return RunParameters.from_json(json.dumps({**json.loads(run.to_json()), **changes}))


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


def test_max_failed_is_a_share_or_a_count(local_run: RunParameters, image_folder: Path) -> None:
    assert [parse_max_failed(text) for text in ("0.1", "10%", "25")] == [0.1, 0.1, 25]
    with pytest.raises(ParameterError, match="max_failed"):
        parse_max_failed("many")
    (image_folder / "x.png").write_bytes(b"")
    (image_folder / "y.png").write_bytes(b"")
    assert not run_steps(changed(local_run, max_failed=2)).too_many_failed
    assert run_steps(changed(local_run, max_failed=1)).too_many_failed
    assert not run_steps(changed(local_run, max_failed=0.4)).too_many_failed
    assert run_steps(changed(local_run, max_failed=0.39)).too_many_failed


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
    assert {"a.png", "a.png/b.png", "ä.png", "tab_new_line.png"} <= names
    assert all(len(name) < 240 and name.isprintable() for name in names)
    # A folder and an image of one name share a folder of the output, and lose nothing by that.
    segments = Path(run.output, "segments", "a.png")
    assert (segments / "00.png").exists() and (segments / "b.png" / "00.png").exists()
    assert run_steps(run).computed == 0


@pytest.mark.parametrize(
    ("name", "safe"),
    [("a/../b.png", "a/__/b.png"), ("a//b.png", "a/_/b.png"), ("/b.png", "_/b.png")],
)
def test_objects_names_stay_below_the_output(name: str, safe: str) -> None:
    """Only a bucket has such names; the storage stand-in, which has files, cannot."""
    assert output_name(name) == safe


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
    assert "pixels" in reasons and "no image" in reasons


def test_last_note_tells_image_and_whether_it_was_alone(tmp_path: Path) -> None:
    path = tmp_path / "note"
    assert read_last_note(path) == LastNote()
    in_hand = InHand(path, run_alone=1)
    in_hand.begin("a")
    assert read_last_note(path) == LastNote("a", 0, alone=True)
    in_hand.finish()
    assert read_last_note(path) == LastNote("", 1, alone=False)
    path.write_text('{"image": "a", "fini')
    assert read_last_note(path) == LastNote()


def test_skipped_image_is_a_failed_row_with_its_reason(local_run: RunParameters) -> None:
    (shard,) = plan_shards(local_run)
    rows = segment_images(local_run, shard, RestartPolicy(skip={"b.jpg": "b.jpg: kills"}))
    assert write_report(local_run, [rows], "local").failed == 1
    assert "b.jpg: kills" in Path(local_run.output, "failed.jsonl").read_text()


# In the worker's process only: whoever opens an image of that name dies, as if memory had ended.
KILLER = """
import os, signal, sys
def audit(event, arguments):
    if event == "open" and "killer" in str(arguments[0]):
        if "pipeline.shard.worker" in " ".join(sys.orig_argv):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(audit)
"""


def supervised(
    run: RunParameters, shard: str, hook: Path, killer: str, most_deaths: int
) -> subprocess.CompletedProcess[str]:
    """The real step in a process whose worker runs ``killer`` when it starts."""
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(killer)
    code = (
        "import sys; from pipeline.run.parameters import RunParameters\n"
        "from pipeline.steps import segment_shard as step\n"
        f"step.MOST_DEATHS = {most_deaths}\n"
        "run = RunParameters.from_json(sys.argv[1])\n"
        "print('ROWS', step.segment_shard(run, sys.argv[2]))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, run.to_json(), shard],
        env={**os.environ, "PYTHONPATH": f"{hook}:{ROOT}"},
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip


def test_image_that_kills_its_process_is_set_aside_and_the_rest_is_done(
    local_run: RunParameters, image_folder: Path, tmp_path: Path
) -> None:
    """The real step in a real process; its neighbours are not blamed."""
    Image.fromarray(draw_scene(64, 64)).save(image_folder / "killer.png")
    Image.fromarray(draw_scene(64, 64)).save(image_folder / "z.png")
    (shard,) = plan_shards(local_run)
    done = supervised(local_run, shard, tmp_path / "hook", KILLER, 10)
    assert done.returncode == 0, done.stderr
    rows = done.stdout.split("ROWS ")[1].strip()
    summary = write_report(local_run, [rows], "local")
    assert (summary.images, summary.failed, summary.computed) == (5, 1, 4)
    (failed,) = Path(local_run.output, "failed.jsonl").read_text().splitlines()
    assert json.loads(failed)["image"] == "killer.png"
    assert "SIGKILL" in failed and "memory" in failed
    assert done.stdout.count("masks in") <= 4 + 3  # one image a death may be computed twice
    run = read_json(open_folder(local_run.output), "metrics.json")["run"]
    assert run["restarts"] == 3


def test_process_that_dies_before_its_first_image_ends_the_step(
    local_run: RunParameters, tmp_path: Path
) -> None:
    (shard,) = plan_shards(local_run)
    killer = KILLER.replace('"killer"', '"vit_tiny"')
    done = supervised(local_run, shard, tmp_path / "hook", killer, 2)
    assert done.returncode == 1
    assert "ended by SIGKILL 2 times in a row, with no image in hand" in done.stderr
