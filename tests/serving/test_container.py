"""Both container images without a container engine: their trees, locks and entry points."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
from packaging.requirements import Requirement
from PIL import Image

from scripts.checkout import ROOT
from scripts.development.container_lock import (
    LOCK,
    TORCH,
    locked,
    normalised,
    requirements,
    torch_requirements,
)
from scripts.rehearsal.container_engine.image_tree import (
    ImageTreeError,
    assemble,
    entrypoint,
    instructions,
    stage_instructions,
)
from scripts.rehearsal.processes import free_port
from tests.conftest import draw_scene
from tests.serving.conftest import base64_png

DOCKERFILE = ROOT / "serving" / "Dockerfile"
KINDS = {".py", ".pth", ".txt", ".js", ".css", ".j2"}
STAGES = ("serving", "pipeline")  # each has its requirements.txt in the folder of its name


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the working directory of the model server's image holds."""
    return assembled(tmp_path, "serving")


def assembled(folder: Path, stage: str) -> Path:
    target = folder / stage
    assemble(ROOT, DOCKERFILE, target, stage)
    return target


def files_of(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


def test_the_linter_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(program), str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_each_image_holds_what_it_needs_and_nothing_else(tmp_path: Path) -> None:
    server, steps = (files_of(assembled(tmp_path, stage)) for stage in STAGES)
    for names in (server, steps):
        assert "serving/sam/assets/sam_vit_tiny.pth" in names
        assert {Path(name).suffix for name in names} <= KINDS
        assert not [name for name in names if "__pycache__" in name or "Dockerfile" in name]
    assert {name.partition("/")[0] for name in server} == {"serving"}
    assert {name.partition("/")[0] for name in steps} == {"serving", "pipeline"}
    assert "pipeline/report/page/data.js" in steps
    parts = {name.split("/")[1] for name in steps if name.startswith("serving/")}
    assert parts == {"__init__.py", "sam", "storage", "torch.txt"}


def test_the_same_tree_has_the_same_digest(tmp_path: Path) -> None:
    first = assemble(ROOT, DOCKERFILE, tmp_path / "a")
    assert first == assemble(ROOT, DOCKERFILE, tmp_path / "b")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", first)
    with pytest.raises(ImageTreeError, match="target stage other"):
        assemble(ROOT, DOCKERFILE, tmp_path / "c", "other")


@pytest.mark.parametrize("stage", STAGES)
def test_the_images_run_as_nobody_special(stage: str) -> None:
    steps = stage_instructions(DOCKERFILE, stage)
    arguments = dict(rest.split("=", 1) for word, rest in steps if word == "ARG")
    users = [rest for word, rest in steps if word == "USER"]
    assert [arguments.get(user.strip("${}"), user) for user in users] == ["1000"]
    words = [word for word, _ in steps]
    assert words.index("USER") > len(words) - 1 - words[::-1].index("RUN")


def test_the_entry_point_is_the_model_server() -> None:
    assert entrypoint(DOCKERFILE) == ["python", "-m", "serving.server"]


def test_the_base_is_named_by_its_digest_and_has_the_python_of_the_lock() -> None:
    base = next(rest for word, rest in instructions(DOCKERFILE) if word == "ARG")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert re.fullmatch(rf"BASE_IMAGE=python:{version}\.\d+-slim-\w+@sha256:[0-9a-f]{{64}}", base)


def test_one_torch_in_lock_images_and_tests() -> None:
    """The tests' own torch is what the lock says, whatever its build."""
    import torch

    text = TORCH.read_text()
    assert text == torch_requirements(LOCK.read_text())
    ours = locked(LOCK.read_text())
    inside = locked(text)
    assert inside["torch"] == f"{ours['torch']}+cu126"
    assert inside["torchvision"].startswith(ours["torchvision"])
    assert torch.__version__.partition("+")[0] == ours["torch"]
    makefile = (ROOT / "Makefile").read_text()
    assert re.findall(r"torch==([\w.]+)", makefile) == [ours["torch"]]


def test_everything_that_torch_needs_of_python_is_pinned() -> None:
    """Its requirements on CUDA are exact in its own metadata."""
    names, known = ["torch", "torchvision"], set()
    while names:
        name = names.pop()
        if name in known or name.startswith(("nvidia-", "cuda-", "triton")):
            continue
        known.add(name)
        for text in importlib.metadata.requires(name) or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                names.append(normalised(wanted.name))
    assert known - {"setuptools"} <= set(locked(TORCH.read_text()))  # which the base image has


@pytest.mark.parametrize("stage", STAGES)
def test_the_images_locks_are_complete_and_agree_with_ours(stage: str) -> None:
    text = (ROOT / stage / "requirements.txt").read_text()
    inside, ours = locked(text), locked(LOCK.read_text())
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) == len(inside)
    assert inside.items() <= ours.items()
    assert not {"torch", "torchvision", "pytest", "cdktf", "typer"} & set(inside)
    other = {"serving": {"kfp", "kubernetes"}, "pipeline": {"fastapi", "google-cloud-aiplatform"}}
    assert not other[stage] & set(inside)
    direct = (ROOT / stage / "requirements.in").read_text()
    for line in direct.splitlines():
        if line and not line.startswith("#"):
            assert line.partition("[")[0] in inside


def test_the_lock_leaves_out_what_torch_brings() -> None:
    def item(name: str) -> dict[str, object]:
        archive = {"archive_info": {"hashes": {"sha256": "0" * 64}}}
        return {"metadata": {"name": name, "version": "1"}, "download_info": archive}

    names = ("b_c", "torch", "nvidia-cublas-cu12", "a")
    text = requirements({"install": [item(name) for name in names]})
    assert re.findall(r"^([\w-]+)==", text, re.MULTILINE) == ["a", "b-c"]


def vertex_environment(port: int) -> dict[str, str]:
    """Exactly what Vertex sets, and what any process has."""
    from serving.sam.known_checkpoints import CHECKPOINTS

    return {
        "PATH": os.environ["PATH"],
        "HOME": "/tmp",
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/health",
        "AIP_PREDICT_ROUTE": "/predict",
        "AIP_STORAGE_URI": str(CHECKPOINTS["vit_tiny"].embedded_path),
        "AIP_MODE": "PREDICTION",
        "AIP_MODE_VERSION": "1.0.0",
        "AIP_FRAMEWORK": "CUSTOM_CONTAINER",
        "AIP_MACHINE_TYPE": "n1-standard-4",
        "AIP_ENDPOINT_ID": "1",
        "AIP_DEPLOYED_MODEL_ID": "1",
        "AIP_PROJECT_NUMBER": "1",
    }


def predicts(python: str, tree: Path) -> None:
    """Start the entry point in the tree with an interpreter, and predict."""
    port = free_port()
    command = [python, *entrypoint(DOCKERFILE)[1:]]
    with (tree / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=tree, env=vertex_environment(port), stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, (tree / "server.log").read_text()
            assert time.monotonic() < deadline
            try:
                if requests.get(f"{url}/health", timeout=5).status_code == 200:
                    break
            except requests.ConnectionError:
                pass
            time.sleep(0.2)
        instance = {"image": base64_png(), "input_point": [80, 95]}
        reply = requests.post(f"{url}/predict", json={"instances": [instance]}, timeout=60)
        assert reply.status_code == 200
        assert reply.json()["predictions"][0]["masks"][0]["size"] == [240, 320]
    finally:
        process.terminate()
        assert process.wait(60) in (0, -15)


def test_the_entry_point_serves_from_the_images_tree(tree: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import serving; print(serving.__file__)"],
        cwd=tree, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.strip() == str(tree / "serving" / "__init__.py")
    predicts(sys.executable, tree)


def clean_environment(folder: Path, stage: str) -> str:
    """An environment with what an image installs, and its interpreter.

    The build of torch for CUDA is not to be had here: the lock's own stands in for it, with what
    pip installs beside it; everything else comes by its hash.
    """
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    ours = locked(LOCK.read_text())
    install = [python, "-m", "pip", "install", "--quiet"]
    torch = f"torch=={ours['torch']}"
    subprocess.run([*install, "--constraint", str(LOCK), torch], check=True)
    vision = f"torchvision=={ours['torchvision']}"
    subprocess.run([*install, "--no-deps", vision], check=True)
    requirements_txt = str(ROOT / stage / "requirements.txt")
    hashed = ("--no-deps", "--require-hashes", "--requirement", requirements_txt)
    subprocess.run([*install, *hashed], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    return python


def not_found(python: str, tree: Path, modules: str, strangers: tuple[str, ...]) -> list[str]:
    """Import modules in an image's tree; which of the strangers are not there."""
    code = (
        f"import importlib.util, json, {modules}; "
        f"print(json.dumps([n for n in {strangers!r} if not importlib.util.find_spec(n)]))"
    )
    done = subprocess.run(
        [python, "-c", code], cwd=tree, env=vertex_environment(1), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    missing: list[str] = json.loads(done.stdout.strip().splitlines()[-1])
    return missing


STRANGERS = ("scripts", "infra", "tests", "pytest", "cdktf")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_model_servers_lock_in_a_clean_environment_serves(tree: Path, tmp_path: Path) -> None:
    python = clean_environment(tmp_path / "env", "serving")
    strangers = (*STRANGERS, "kfp", "kubernetes", "pipeline")
    assert not_found(python, tree, "serving.server", strangers) == list(strangers)
    predicts(python, tree)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_steps_lock_in_a_clean_environment_runs_a_step(tmp_path: Path) -> None:
    """As Kubeflow does: by kfp's own executor, which writes what a step returns."""
    python = clean_environment(tmp_path / "env", "pipeline")
    tree = assembled(tmp_path, "pipeline")
    modules = (
        "kfp.dsl.executor_main, pipeline.shard.worker, pipeline.steps.segment_shard, "
        "pipeline.steps.write_report"
    )
    strangers = (*STRANGERS, "fastapi", "google.cloud.aiplatform", "serving.handler")
    assert not_found(python, tree, modules, strangers) == list(strangers)
    (tmp_path / "photos").mkdir()
    Image.fromarray(draw_scene(160, 120)).save(tmp_path / "photos" / "a.png")
    code = (
        "import sys, dataclasses; from pipeline.run.parameters import RunParameters; "
        "from pipeline.steps.plan_shards import plan_shards; "
        "from pipeline.steps.segment_shard import segment_shard; "
        "from pipeline.steps.write_report import write_report; "
        "p = RunParameters(inputs=(sys.argv[1],), output=sys.argv[2], points_per_side=4); "
        "print(write_report(p, [segment_shard(p, s) for s in plan_shards(p)], 'local').masks)"
    )
    arguments = (str(tmp_path / "photos"), str(tmp_path / "out"))
    done = subprocess.run(
        [python, "-c", code, *arguments], cwd=tree,
        env={**vertex_environment(1), "PYTHONPATH": str(tree)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.strip().splitlines()[-1]) > 0
    assert (tmp_path / "out" / "report.html").exists()
