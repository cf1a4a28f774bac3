"""Write the container's requirements: pinned as ``requirements.lock``, complete, with hashes.

    python -m scripts.development.container_lock  # resolves serving/requirements.in

The base image brings torch and torchvision, so this file leaves out both and what only they need.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.checkout import ROOT

REQUIREMENTS = ROOT / "serving" / "requirements.in"
LOCK = ROOT / "requirements.lock"
TARGET = ROOT / "serving" / "requirements.txt"
IN_BASE_IMAGE = ("torch", "torchvision", "triton")
HEADER = """# Complete, pinned, with hashes, for linux/amd64, Python 3.11; the base image has torch.
# Written by `make lock`; edit requirements.in instead.
"""


def normalised(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirements(report: dict[str, Any]) -> str:
    """The lines of a requirements file from what ``pip install --report`` wrote."""
    lines = []
    for item in report["install"]:
        name = normalised(item["metadata"]["name"])
        if name in IN_BASE_IMAGE or name.startswith(("nvidia-", "cuda-")):
            continue
        version = item["metadata"]["version"]
        digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={version} \\\n    --hash=sha256:{digest}\n")
    return HEADER + "".join(sorted(lines))


def resolve() -> dict[str, Any]:
    """What pip would install into an empty environment, by its own resolver."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        subprocess.run(  # noqa: S603
            [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
             "--report", str(report), "--requirement", str(REQUIREMENTS),
             "--constraint", str(LOCK)],
            check=True,
        )  # fmt: skip
        resolution: dict[str, Any] = json.loads(report.read_text("utf-8"))
        return resolution


def main() -> int:
    """Resolve and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.parse_args()
    TARGET.write_text(requirements(resolve()), "utf-8")
    print(f"{TARGET}: {TARGET.read_text('utf-8').count('--hash')} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
