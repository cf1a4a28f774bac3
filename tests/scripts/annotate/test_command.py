"""``sam-vertex annotate`` as typed: a folder is clicked, closed, reopened, and run as clicked."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from pipeline.run.parameters import RunParameters
from scripts.checkout import ROOT
from tests.command_line import sam_vertex
from tests.pipeline.conftest import run_steps
from tests.scripts.annotate.conftest import Served


@contextmanager
def annotating(photos: Path, output: Path, *options: str) -> Iterator[tuple[str, list[str]]]:
    """The command as a process; yields the page's address, and its last words when it has ended."""
    command = [
        sys.executable,
        "-m",
        "scripts.cli",
        "annotate",
        str(photos),
        "--output",
        str(output),
    ]
    no_screen = {**os.environ, "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    process = subprocess.Popen(
        [*command, "--port", "0", "--checkpoint", "vit_tiny", *options],
        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**no_screen, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stderr is not None
    words: list[str] = []
    try:
        line = process.stderr.readline()
        found = re.search(r"http://\S+", line)
        assert found is not None, line + process.stderr.read()
        tunnel = process.stderr.readline()  # a line that is buffered is none of communicate's
        yield found[0], words
        process.send_signal(signal.SIGINT)
        words.append(tunnel + process.communicate(timeout=30)[1])
        assert process.returncode == 0, words
    finally:
        process.kill()
        process.wait()


def keep(address: str, image: int, name: str, x: int, y: int, category: str) -> None:
    """Accept what is at a pixel, as the page does."""
    body = {"prompt": {"points": [[x, y]], "labels": [1]}, "candidate": 1, "category": category}
    host = address.rstrip("/")
    reply = requests.put(
        f"{host}/api/images/{image}/objects/{name}", json=body, headers={"Origin": host}, timeout=60
    )
    assert reply.status_code == 200, reply.text


def test_three_objects_of_two_photographs_become_the_prompts_of_a_run(
    photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "annotated"
    with annotating(photos, output) as (address, words):
        keep(address, 0, "a", 80, 100, "ball")
        keep(address, 0, "b", 224, 78, "book")
        done = sam_vertex("annotate", photos, "--output", output, "--port", "0")
        assert done.returncode == 2 and "another run is writing here" in done.stderr
    assert "saved in" in words[0] and "Traceback" not in words[0]
    assert "ssh -L" in words[0]  # there is no screen, so no browser was opened
    with annotating(photos, output) as (address, _):
        session = requests.get(f"{address}api/session", timeout=60).json()
        assert [image["accepted"] for image in session["images"]] == [2, 0, 0]
        keep(address, 1, "c", 60, 130, "ball")
    run = RunParameters(
        inputs=tuple(str(photos / name) for name in ("a.png", "b.jpg")),
        output=str(tmp_path / "run"),
        prompts=str(output / "prompts.json"),
    )
    summary = run_steps(run)
    assert (summary.failed, summary.masks) == (0, 3)
    from pycocotools.coco import COCO

    for folder in (output, tmp_path / "run"):
        coco = COCO(str(folder / "annotations.json"))
        names = [coco.loadCats([row["category_id"]])[0]["name"]
                 for row in coco.loadAnns(coco.getAnnIds())]  # fmt: skip
        assert sorted(names) == ["ball", "ball", "book"]


def test_ctrl_c_ends_it_whatever_it_computes(photos: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as threads, annotating(photos, tmp_path / "out") as (address, words):
        keep(address, 0, "a", 80, 100, "ball")
        host = address.rstrip("/")
        for _ in range(8):  # with a large network one would do
            threads.submit(
                requests.post, f"{host}/api/images/0/everything", json={}, headers={"Origin": host}
            )
        time.sleep(0.5)
    assert "saved in" in words[0] and "Traceback" not in words[0], words[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "missing INPUT"),
        (["photos"], "missing --output"),
        (["nowhere", "--output", "out"], "no such file or folder"),
        (["photos", "--output", "photos"], "choose another"),
        (["photos", "--output", "out", "--url", "http://x", "--endpoint"], "--url"),
        (["photos", "--output", "out", "--endpoint", "--checkpoint", "vit_b"], "--checkpoint"),
        (["photos", "--output", "out", "--url", "http://x", "--precision", "fp32"], "--precision"),
    ],
)
def test_what_cannot_be_annotated_is_refused_before_anything_is_loaded(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").symlink_to(photos)
    done = sam_vertex("annotate", *arguments)
    assert done.returncode == 2
    assert words in done.stderr and "hint:" in done.stderr
    assert not Path("out").exists()


def test_port_that_is_taken_is_said(photos: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = sam_vertex("annotate", photos, "--output", tmp_path / "out", "--port", port)
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr and "--port" in done.stderr


def test_files_of_an_output_that_are_damaged_are_named(served: Served, tmp_path: Path) -> None:
    for name, content in (("prompts.json", "[]"), ("prompts.json", "{"), ("reviewed.jsonl", "{}")):
        served.stop()
        served.store.close()
        served.output.mkdir(exist_ok=True)
        (served.output / name).write_text(content)
        with pytest.raises(Exception, match=name) as error:
            served.start()
        assert getattr(error.value, "callers_fault", False) is True
        (served.output / name).unlink()
    served.start()
