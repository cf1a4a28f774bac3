"""Rehearse a deployment: the real cdktf and Terraform deploy and destroy in a local cloud.

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
from pathlib import Path

import typer

from scripts.console import OperatorError, reporting_errors
from scripts.rehearsal import cloud

ROOT = Path(__file__).parents[2]
STACKS = ("sam-platform", "sam-serving")
PROJECT = "rehearsed-project"


def cdktf(found: cloud.Cloud, *words: str) -> None:
    """Run the cdktf command line in this project, against a local cloud.

    Raises:
        OperatorError: it is not installed, or it failed.
    """
    program = ROOT / "node_modules" / ".bin" / "cdktf"
    if not program.exists():
        raise OperatorError(f"{program} is not there", hint="install Node 20, then: make setup")
    environment = {"SAM_PROJECT_ID": PROJECT, **os.environ, **found.environment()}
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


def rehearse(home: Path) -> dict[str, dict[str, object]]:
    """Deploy both stacks and destroy them; say how long each took. Returns the outputs.

    Raises:
        OperatorError: a step failed, or something was left.
    """
    found = cloud.start(home)
    try:
        outputs = found.home / "outputs.json"
        flags = ("--auto-approve", "--skip-provider-lock")  # locking asks the network
        started = time.monotonic()
        cdktf(found, "deploy", *STACKS, *flags, "--outputs-file", str(outputs))
        made = world_of(found)
        print(f"deployed: {made} resources in {time.monotonic() - started:.1f} s")
        deployed: dict[str, dict[str, object]] = json.loads(outputs.read_text("utf-8"))
        started = time.monotonic()
        cdktf(found, "destroy", *STACKS, *flags)
        left = world_of(found)
        print(f"destroyed in {time.monotonic() - started:.1f} s; {left} resources left")
        if left:
            raise OperatorError(
                f"destroy left {left} resources", hint=f"read {found.world_path}", exit_code=1
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
