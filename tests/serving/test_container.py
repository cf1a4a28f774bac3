"""The container image without a container engine: its tree, its lock, its entry point."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from scripts.checkout import ROOT
from scripts.development.container_lock import requirements
from scripts.rehearsal.container_engine.image_tree import assemble, entrypoint, instructions
from scripts.rehearsal.processes import free_port
from tests.serving.conftest import base64_png

DOCKERFILE = ROOT / "serving" / "Dockerfile"
REQUIREMENTS = ROOT / "serving" / "requirements.txt"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the image's working directory holds."""
    target = tmp_path / "app"
    assemble(ROOT, DOCKERFILE, target)
    return target


def test_the_linter_finds_nothing() -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [str(program), str(DOCKERFILE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_image_holds_what_it_needs_and_nothing_else(tree: Path) -> None:
    names = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"serving", "pipeline"}
    assert "serving/sam/assets/sam_vit_tiny.pth" in names
    assert "pipeline/report/page/data.js" in names
    kinds = {Path(name).suffix for name in names}
    assert kinds == {".py", ".pth", ".txt", ".js", ".css", ".j2"}
    assert not [name for name in names if "__pycache__" in name or "Dockerfile" in name]


def test_the_same_tree_has_the_same_digest(tmp_path: Path) -> None:
    first = assemble(ROOT, DOCKERFILE, tmp_path / "a")
    assert first == assemble(ROOT, DOCKERFILE, tmp_path / "b")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", first)


def test_the_image_runs_as_nobody_special() -> None:
    steps = instructions(DOCKERFILE)
    users = [rest for word, rest in steps if word == "USER"]
    assert users == ["1000"]
    assert [word for word, _ in steps].index("USER") > [word for word, _ in steps].index("RUN")
    assert entrypoint(DOCKERFILE) == ["python", "-m", "serving.server"]
    base = next(rest for word, rest in steps if word == "ARG")
    assert "cuda12" in base
    assert ":latest" not in base


def locked(path: Path) -> dict[str, str]:
    versions = {}
    for line in path.read_text().splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s\\]+)", line)
        if match:
            versions[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return versions


def test_the_containers_lock_is_complete_and_agrees_with_ours() -> None:
    text = REQUIREMENTS.read_text()
    inside, ours = locked(REQUIREMENTS), locked(ROOT / "requirements.lock")
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}", text)) == len(inside)
    assert inside.items() <= ours.items()
    assert not {"torch", "torchvision", "pytest", "cdktf", "typer"} & set(inside)
    direct = (ROOT / "serving" / "requirements.in").read_text()
    for line in direct.splitlines():
        if line and not line.startswith("#"):
            assert line.partition("[")[0] in inside


def test_the_lock_leaves_out_what_the_base_image_has() -> None:
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


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_lock_in_a_clean_environment_serves_and_runs_pipeline_steps(
    tree: Path, tmp_path: Path
) -> None:
    """The base image's torch stands in as the lock's; everything else comes by its hash."""
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = str(environment / "bin" / "python")
    ours = locked(ROOT / "requirements.lock")
    base = [f"torch=={ours['torch']}", f"torchvision=={ours['torchvision']}"]
    install = [python, "-m", "pip", "install", "--quiet"]
    # What torch itself needs is the base image's business as well.
    subprocess.run([*install, "--constraint", str(ROOT / "requirements.lock"), base[0]], check=True)
    subprocess.run([*install, "--no-deps", base[1]], check=True)
    subprocess.run(
        [*install, "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS)], check=True
    )
    subprocess.run([python, "-m", "pip", "check"], check=True)
    code = (
        "import pipeline.shard.worker, pipeline.steps.segment_shard, pipeline.steps.plan_shards, "
        "pipeline.definition, pipeline.steps.write_report, importlib.util, json; "
        "print(json.dumps([n for n in ('scripts', 'infra', 'tests', 'pytest', 'cdktf') "
        "if importlib.util.find_spec(n)]))"
    )
    done = subprocess.run(
        [python, "-c", code], cwd=tree, env=vertex_environment(1), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout.strip().splitlines()[-1]) == []
    predicts(python, tree)
