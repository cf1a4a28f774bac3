"""What ordinarily goes wrong, done to real processes: kills, a failing storage, a full disk."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from serving.storage import open_folder
from serving.storage.client import storage_client
from tests.conftest import draw_scene
from tests.journeys.test_run import COMMAND, contents, sam_vertex
from tests.stand_ins.faulty_storage import FaultyStorage


def draw_images(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(draw_scene(140 + 8 * number, 120)).save(folder / f"{number:02d}.png")
    return folder


def workers_of(parent: int) -> list[int]:
    """Processes of ``pipeline.shard.worker`` that descend from another."""
    parents, workers = {}, []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            pid = int(path.name)
            parents[pid] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if b"pipeline.shard.worker" in (path / "cmdline").read_bytes():
                workers.append(pid)

    def descends(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == parent:
                return True
        return False

    return [pid for pid in workers if descends(pid)]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(("most", "count"), [(3, 15), pytest.param(10, 50, marks=pytest.mark.slow)])
def test_shard_killed_at_random_equals_an_undisturbed_run(
    tmp_path: Path, most: int, count: int
) -> None:
    """SIGKILL to the shard's process; nothing is computed twice but the image in hand."""
    images = draw_images(tmp_path / "images", count)
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert sam_vertex(images, "--output", undisturbed).returncode == 0
    moments = random.Random(5)
    log = tmp_path / "log"
    with log.open("w") as file:
        run = subprocess.Popen(
            [*COMMAND, str(images), "--output", str(killed), "--points-per-side", "4", "--debug"],
            stdout=subprocess.DEVNULL, stderr=file,
        )  # fmt: skip
        kills, last = 0, None
        deadline = time.monotonic() + 300
        while kills < most and run.poll() is None and time.monotonic() < deadline:
            workers = [pid for pid in workers_of(run.pid) if pid != last]
            if not workers:
                time.sleep(0.02)
                continue
            (last,) = workers
            if moments.random() < 0.3:  # while it starts
                time.sleep(moments.uniform(0.2, 1.2))
            else:  # while it computes or writes
                before = len(list(killed.glob("masks/*.json")))
                while len(list(killed.glob("masks/*.json"))) <= before and run.poll() is None:
                    time.sleep(0.01)
                time.sleep(moments.uniform(0.0, 0.4))
            with contextlib.suppress(ProcessLookupError):
                os.kill(last, signal.SIGKILL)
                kills += 1
        assert run.wait(timeout=300) == 0, log.read_text()
    assert kills == most
    assert contents(killed) == contents(undisturbed)
    text = log.read_text()
    assert text.count("process ended by SIGKILL") == kills
    computed = [line.split(":")[0].strip() for line in text.splitlines() if " masks in " in line]
    assert len(computed) <= count + kills
    assert json.loads((killed / "metrics.json").read_text())["run"]["restarts"] == kills


def test_storage_that_fails_for_a_while_costs_time_only(
    bucket: Callable[[str], str], storage_server: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """429, 503, connections that end before and after the work is done, and 5 s of nothing."""
    source = open_folder(bucket("images"))
    for number in range(4):
        path = tmp_path / f"{number}.png"
        Image.fromarray(draw_scene(100 + 10 * number, 80)).save(path)
        source.write_bytes(path.name, path.read_bytes(), "image/png")
    undisturbed = sam_vertex(bucket("images"), "--output", bucket("plain"))
    assert undisturbed.returncode == 0, undisturbed.stderr
    proxy = FaultyStorage(storage_server, every=9)
    proxy.start()
    try:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        proxy.down_until = time.monotonic() + 5
        done = sam_vertex(bucket("images"), "--output", bucket("faulty"))
        assert done.returncode == 0, done.stderr
        assert "4 images: 4 done, 0 failed" in done.stdout
    finally:
        proxy.stop()
    assert all(proxy.faults.values()), proxy.faults
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_server)
    storage_client.cache_clear()
    plain, faulty = open_folder(bucket("plain")), open_folder(bucket("faulty"))
    names = {file.name for file in plain.files() if "report" not in file.name}
    assert names == {file.name for file in faulty.files() if "report" not in file.name}
    for name in names:
        if name.endswith(".png"):
            assert plain.read_bytes(name) == faulty.read_bytes(name)
        elif name.startswith("masks/"):
            first, second = (json.loads(folder.read_bytes(name)) for folder in (plain, faulty))
            assert first["masks"] == second["masks"]


def test_full_disk_ends_the_run_by_name_and_keeps_what_is_done(tmp_path: Path) -> None:
    """A real file system of 150 kB; with room, the same command does the rest."""
    images = draw_images(tmp_path / "images", 15)
    small, kept = tmp_path / "small", tmp_path / "kept"
    small.mkdir()
    run = f'"{COMMAND[0]}" run {images} --output {small}/out --points-per-side 4'
    script = (
        f"mount -t tmpfs -o size=150k tmpfs {small} || exit 77\n"
        f"{run}; code=$?; cp -r {small}/out {kept}; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode in (1, 77) and "error: " not in done.stderr:
        pytest.skip("this machine lets nobody mount a file system")
    assert done.returncode == 1, done.stderr
    assert "hint: make room there" in done.stderr
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr
    finished = {path.name for path in kept.glob("masks/*.json")}
    assert 0 < len(finished) < 15
    assert all(json.loads(path.read_text()) for path in kept.glob("masks/*.json"))
    again = sam_vertex(images, "--output", kept, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["computed"] == 15 - len(finished)
    undisturbed = tmp_path / "undisturbed"
    sam_vertex(images, "--output", undisturbed)
    assert contents(kept) == contents(undisturbed)


def test_two_runs_at_once_over_one_bucket_output_the_second_refuses(
    bucket: Callable[[str], str], image_folder: Path
) -> None:
    """Two real commands; one of them wins."""
    command = [*COMMAND, str(image_folder), "--output", bucket("runs/1"), "--points-per-side", "4"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    runs = [subprocess.Popen(command, **pipes) for _ in range(2)]
    ended = [run.communicate(timeout=120) for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], ended
    (errors,) = [error for run, (_, error) in zip(runs, ended, strict=True) if run.returncode]
    assert "another run" in errors
