"""Rehearse it all: the real cdktf, Terraform and SDK in a local cloud, from deploy to destroy.

python -m scripts.rehearsal.deploy
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import typer

from scripts.console import OperatorError, reporting_errors
from scripts.rehearsal import cloud

ROOT = Path(__file__).parents[2]
STACKS = ("sam-platform", "sam-serving")
PROJECT = "rehearsed-project"


def cdktf(found: cloud.Cloud, *words: str, settings: Mapping[str, str] | None = None) -> None:
    """Run the cdktf command line in this project, against a local cloud.

    Args:
        found: the cloud.
        words: of the command line.
        settings: ``SAM_*`` variables beside the caller's own.

    Raises:
        OperatorError: it is not installed, or it failed.
    """
    program = ROOT / "node_modules" / ".bin" / "cdktf"
    if not program.exists():
        raise OperatorError(f"{program} is not there", hint="install Node 20, then: make setup")
    environment = {"SAM_PROJECT_ID": PROJECT, **os.environ, **(settings or {})}
    environment |= found.environment()
    # What releases the model is a command of this environment.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    app = f"{sys.executable} -m infra.main"
    output = str(found.home / "cdktf.out")
    done = subprocess.run(  # noqa: S603
        [str(program), *words, "--app", app, "--output", output],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    (found.home / f"{words[0]}.log").write_text(done.stdout, "utf-8")
    if done.returncode:
        raise OperatorError(
            f"cdktf {words[0]} failed: {done.stdout.strip()[-600:]}",
            hint="the settings are checked with: python -m infra.main --check",
            exit_code=1,
        )


def world_of(found: cloud.Cloud) -> int:
    """How many resources exist in the local cloud."""
    if not found.world_path.exists():
        return 0
    kinds = json.loads(found.world_path.read_text("utf-8"))["resources"]
    return sum(len(resources) for resources in kinds.values())


def sam_vertex(found: cloud.Cloud, *words: str) -> str:
    """Run our own command line in the rehearsal's folder; what it prints.

    Raises:
        OperatorError: it failed.
    """
    program = Path(sys.executable).with_name("sam-vertex")
    done = subprocess.run(  # noqa: S603
        [str(program), *words],
        cwd=found.home,
        env={**os.environ, **found.environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise OperatorError(
            f"sam-vertex {words[0]} failed: {done.stderr.strip()[-600:]}",
            hint=f"its files are in {found.home}",
            exit_code=1,
        )
    return done.stdout


def check_picture(path: Path) -> None:
    """Write a picture with one thing in it, to ask for."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (320, 240), (236, 232, 224))
    ImageDraw.Draw(image).ellipse((60, 40, 220, 200), fill=(200, 40, 40))
    image.save(path)


def rehearse(home: Path) -> dict[str, dict[str, object]]:
    """Deploy both stacks with a model, ask it for a mask, destroy everything. Returns the outputs.

    Raises:
        OperatorError: a step failed, or something was left.
    """
    found = cloud.start(home)
    settings = {"SAM_FORCE_DESTROY": "true"}  # the bucket will hold a checkpoint
    try:
        outputs = found.home / "outputs.json"
        flags = ("--auto-approve", "--skip-provider-lock")  # locking asks the network
        deploying = ("deploy", *STACKS, *flags, "--outputs-file", str(outputs))
        started = time.monotonic()
        cdktf(found, *deploying, settings=settings)
        print(f"deployed: {world_of(found)} resources in {time.monotonic() - started:.1f} s")
        built = json.loads(sam_vertex(found, "image", "build", "--json"))
        uploaded = json.loads(sam_vertex(found, "checkpoint", "upload", "vit_tiny", "--json"))
        settings |= {"SAM_IMAGE": built["image"], "SAM_CHECKPOINT": uploaded["checkpoint"]}
        started = time.monotonic()
        cdktf(found, *deploying, settings=settings)
        print(f"deployed: a model in {time.monotonic() - started:.1f} s")
        check_picture(found.home / "picture.png")
        point = ("--point", "140,120", "--endpoint")
        said = sam_vertex(found, "predict", "picture.png", *point)
        print(f"predicted: {said.splitlines()[0].partition(':')[0]} by the endpoint")
        deployed: dict[str, dict[str, object]] = json.loads(outputs.read_text("utf-8"))
        started = time.monotonic()
        cdktf(found, "destroy", *STACKS, *flags, settings=settings)
        left = world_of(found)
        print(f"destroyed in {time.monotonic() - started:.1f} s; {left} resources left")
        models = json.loads(found.world_path.read_text("utf-8"))["vertex"]["models"]
        if left or models:
            raise OperatorError(
                f"destroy left {left} resources and {len(models)} models",
                hint=f"read {found.world_path}",
                exit_code=1,
            )
        return deployed
    finally:
        cloud.stop(found.home, keep=True)


def main() -> int:
    """Rehearse in a folder of its own that is removed afterwards."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.parse_args()
    try:
        with reporting_errors(debug=False), tempfile.TemporaryDirectory() as folder:
            rehearse(Path(folder))
    except typer.Exit as end:
        return int(end.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
