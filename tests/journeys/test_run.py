"""``sam-vertex run`` as an operator types it: the real command, Kubeflow and checkpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.run.output_layout import PLANNED
from tests import command_line
from tests.conftest import draw_scene

COMMAND = [str(Path(sys.executable).with_name("sam-vertex")), "run"]


def sam_vertex(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *map(str, arguments), "--points-per-side", "4"]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def contents(output: Path) -> dict[str, Any]:
    """Everything a run left that does not tell the time."""
    files: dict[str, Any] = {}
    for path in sorted(output.rglob("*")):
        name = path.relative_to(output).as_posix()
        if not path.is_file() or name.startswith("."):
            continue
        if name.startswith("masks/"):
            content = json.loads(path.read_text())
            files[name] = {key: content[key] for key in ("masks", "digest", "fingerprint")}
        elif path.suffix == ".png" or name == "annotations.json":
            files[name] = path.read_bytes()
    return files


def test_run_segments_a_folder_and_names_the_report(image_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = sam_vertex(image_folder, "--output", output)
    assert done.returncode == 0, done.stderr
    assert "3 images: 3 done, 0 failed" in done.stdout
    assert f"report: {output / 'report.html'}" in done.stdout
    assert "segmenting: 3/3" in done.stderr
    assert "Traceback" not in done.stderr and "KFP" not in done.stdout

    before = contents(output)
    again = sam_vertex(image_folder, "--output", output, "--json")
    summary = json.loads(again.stdout)
    assert (summary["images"], summary["computed"]) == (3, 0)
    assert contents(output) == before


def test_run_broken_image_is_one_failed_row(image_folder: Path, tmp_path: Path) -> None:
    (image_folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    done = sam_vertex(image_folder, "--output", tmp_path / "out", "--shards", "2")
    assert done.returncode == 0, done.stderr
    assert "4 images: 3 done, 1 failed" in done.stdout
    assert "failed.jsonl (--only-failed retries)" in done.stdout


def test_run_too_many_failed_is_an_error_after_the_report(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no image")
    done = sam_vertex(tmp_path / "x.png", "--output", tmp_path / "out")
    assert done.returncode == 1
    assert "error: 1 of 1 image failed, more than --max-failed 0.5" in done.stderr
    assert (tmp_path / "out" / "report.html").exists()


def test_run_from_bucket_to_bucket(image_folder: Path, bucket: Callable[[str], str]) -> None:
    from serving.storage import open_folder

    source = open_folder(bucket("images"))
    for path in (image_folder / "a.png", image_folder / "b.jpg"):
        source.write_bytes(path.name, path.read_bytes(), "image/png")
    done = sam_vertex(bucket("images"), "--output", bucket("runs/1"))
    assert done.returncode == 0, done.stderr
    names = {file.name for file in open_folder(bucket("runs/1")).files()}
    assert {"masks/a.png.json", "masks/b.jpg.json", "annotations.json", "report.html"} <= names


def test_run_killed_and_run_again_equals_an_undisturbed_run(tmp_path: Path) -> None:
    """SIGKILL at two moments; nothing half-written is ever trusted, no step outlives its run."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(10):
        Image.fromarray(draw_scene(140 + 8 * number, 120)).save(images / f"{number:02d}.png")
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert sam_vertex(images, "--output", undisturbed).returncode == 0

    for enough in (1, 6):
        run = subprocess.Popen(
            [*COMMAND, str(images), "--output", str(killed), "--points-per-side", "4"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while len(list(killed.glob("masks/*.json"))) < enough:
            assert time.monotonic() < deadline and run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert all(json.loads(path.read_text()) for path in killed.glob("masks/*.json"))
    time.sleep(1.0)  # the orphaned step ends itself
    count = len(list(killed.glob("masks/*.json")))
    time.sleep(1.0)
    assert len(list(killed.glob("masks/*.json"))) == count < 10

    last = sam_vertex(images, "--output", killed, "--json")
    assert last.returncode == 0, last.stderr
    assert json.loads(last.stdout)["computed"] == 10 - count
    assert contents(killed) == contents(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_run_interrupted_ends_all_its_shards_at_once_and_leaves_nothing(
    number: signal.Signals, tmp_path: Path
) -> None:
    """Ctrl-C reaches every process in the terminal's foreground, SIGTERM the command alone."""
    images, output, temporary = tmp_path / "images", tmp_path / "out", tmp_path / "tmp"
    images.mkdir()
    temporary.mkdir()
    for count in range(40):
        Image.fromarray(draw_scene(140 + 8 * count, 120)).save(images / f"{count:02d}.png")
    run = subprocess.Popen(
        [*COMMAND, str(images), "--output", str(output), "--shards", "8"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(temporary)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 120
    while not list(output.glob("masks/*.json")):
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.01)
    if number == signal.SIGINT:
        os.killpg(run.pid, number)
    else:
        run.send_signal(number)
    _, errors = run.communicate(timeout=60)
    assert run.returncode == 130
    assert errors.splitlines()[-2] == "error: interrupted"
    assert "Traceback" not in errors
    assert list(temporary.iterdir()) == []
    count = len(list(output.glob("masks/*.json")))
    time.sleep(1.0)
    assert len(list(output.glob("masks/*.json"))) == count <= 10  # of two shards of five at most


def test_run_two_at_once_over_one_output_the_second_refuses(
    image_folder: Path, tmp_path: Path
) -> None:
    import fcntl

    output = tmp_path / "out"
    (output / ".run").mkdir(parents=True)
    (output / PLANNED).write_text('{"todo": 3}')
    with (output / ".run.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = sam_vertex(image_folder, "--output", output)
    assert done.returncode == 2
    assert "error: " in done.stderr and "another run is writing here" in done.stderr
    assert "segmenting: 0/3" not in done.stderr, "the progress of the other run"


@pytest.fixture
def wrong(image_folder: Path, tmp_path: Path) -> dict[str, list[str]]:
    """Arguments for each way to be wrong."""
    empty = tmp_path / "empty"
    empty.mkdir()
    unknown, outside, html = (
        tmp_path / "unknown.json",
        tmp_path / "outside.json",
        tmp_path / "h.pth",
    )
    unknown.write_text('{"nobody.png": {"1": [[1, 1]]}}')
    outside.write_text('{"a.png": {"1": [[5000, 1]]}}')
    html.write_text("<!DOCTYPE html>")
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    images = str(image_folder)
    return {
        "empty folder": [str(empty)],
        "missing path": [str(tmp_path / "nowhere")],
        "prompts name no image": [images, "--prompts", str(unknown)],
        "prompt outside": [images, "--prompts", str(outside)],
        "missing prompts file": [images, "--prompts", str(tmp_path / "none.json")],
        "output is input": [images, "--output", f"{images}/more/.."],
        "unwritable output": [images, "--output", str(blocked / "out")],
        "unknown checkpoint": [images, "--checkpoint", "vit_giant"],
        "checkpoint not fetched": [images, "--checkpoint", "vit_b"],
        "checkpoint is a page": [images, "--checkpoint", str(html)],
        "shards": [images, "--shards", "0"],
        "scheme": ["s3://bucket/images"],
    }


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("empty folder", "no images found"),
        ("missing path", "no such file or folder"),
        ("prompts name no image", "no such image"),
        ("prompt outside", "lies outside"),
        ("missing prompts file", "No such file"),
        ("output is input", "is the input folder itself"),
        ("unwritable output", "cannot write to"),
        ("unknown checkpoint", "no such checkpoint"),
        ("checkpoint not fetched", "is not on this machine"),
        ("checkpoint is a page", "HTML"),
        ("shards", "--shards: expected a whole number from 1 to 1000"),
        ("scheme", "gs://"),
    ],
)
def test_run_callers_mistake_is_named_and_nothing_is_written(
    wrong: dict[str, list[str]], tmp_path: Path, fault: str, message: str
) -> None:
    """``error:`` and ``hint:``, exit code 2, no traceback, no output folder."""
    output = tmp_path / "out"
    arguments = wrong[fault]
    if "--output" not in arguments:
        arguments = [*arguments, "--output", str(output)]
    done = command_line.sam_vertex("run", *arguments)
    error, hint = done.stderr.splitlines()
    assert done.returncode == 2
    assert error.startswith("error: ") and message in error
    assert hint.startswith("hint: ")
    assert not output.exists()


def test_run_unknown_engine_is_a_usage_error(image_folder: Path, tmp_path: Path) -> None:
    done = command_line.sam_vertex(
        "run", image_folder, "--output", tmp_path / "out", "--engine", "nowhere"
    )
    assert done.returncode == 2
    assert "--engine" in done.stderr and "nowhere" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options", [["--detach"], ["--parallel", "2"], ["--image", "x"], ["--accelerator", "none"]]
)
def test_run_option_of_the_other_engine_is_refused_not_ignored(
    image_folder: Path, tmp_path: Path, options: list[str]
) -> None:
    done = command_line.sam_vertex("run", image_folder, "--output", tmp_path / "out", *options)
    assert done.returncode == 2
    assert f"{options[0]}: these are for --engine vertex" in done.stderr
    assert not (tmp_path / "out").exists()


def test_run_error_of_a_step_reaches_the_operator(image_folder: Path, tmp_path: Path) -> None:
    """What only the step can see, here weights of another network, is told as plainly."""
    import torch

    other = tmp_path / "other.pth"
    torch.save({"layer.weight": torch.ones(3)}, other)
    done = sam_vertex(image_folder, "--output", tmp_path / "out", "--checkpoint", other)
    assert done.returncode == 2
    assert "error: " in done.stderr and "not those of a Segment Anything" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_run_read_only_output_is_refused(image_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir(mode=0o500)
    assert sam_vertex(image_folder, "--output", output).returncode == 2
