"""Write the requirements of both images: pinned as ``requirements.lock``, complete, with hashes.

    python -m scripts.development.container_lock

It resolves ``serving/requirements.in`` for the model server and ``pipeline/requirements.in`` for
the steps, and writes ``requirements.txt`` beside each. Both images install ``serving/torch.txt``
first, by versions without hashes: the index of torch's CUDA builds was not reached where this was
written. torch itself names the exact versions of CUDA's packages.
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

FOLDERS = ("serving", "pipeline")
LOCK = ROOT / "requirements.lock"
TORCH = ROOT / "serving" / "torch.txt"
# CUDA 12.6 has kernels for the T4 (Turing, 7.5) and asks for the oldest driver; PyTorch publishes
# it up to 2.14 (pytorch/pytorch, RELEASE.md and issue 190385).
CUDA = "cu126"
INDEX = f"https://download.pytorch.org/whl/{CUDA}"
WITH_TORCH = ("torch", "torchvision")
# What both need of Python; their other requirements are CUDA's and triton, exact in the metadata.
BESIDE_TORCH = (
    *("filelock", "fsspec", "jinja2", "markupsafe", "mpmath", "networkx", "numpy", "pillow"),
    *("sympy", "typing-extensions"),
)
HEADER = """# Complete beside serving/torch.txt, pinned, with hashes, for linux/amd64, Python 3.11.
# Written by `make lock`; edit requirements.in instead.
"""
TORCH_HEADER = f"""# torch of requirements.lock, built for CUDA, for linux/amd64, Python 3.11.
# Written by `make lock`.
--extra-index-url {INDEX}
"""


def normalised(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(text: str) -> dict[str, str]:
    """The versions of a requirements file, by name."""
    versions = {}
    for line in text.splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)==([^\s\\]+)", line)
        if match:
            versions[normalised(match[1])] = match[2]
    return versions


def torch_requirements(lock: str) -> str:
    """The file that installs torch, at the version of ``requirements.lock``."""
    versions = locked(lock)
    lines = [f"{name}=={versions[name]}+{CUDA}\n" for name in WITH_TORCH]
    lines += [f"{name}=={versions[name]}\n" for name in BESIDE_TORCH if name in versions]
    return TORCH_HEADER + "".join(lines)


def requirements(report: dict[str, Any]) -> str:
    """The lines of a requirements file from what ``pip install --report`` wrote."""
    lines = []
    for item in report["install"]:
        name = normalised(item["metadata"]["name"])
        if name in (*WITH_TORCH, "triton") or name.startswith(("nvidia-", "cuda-")):
            continue
        version = item["metadata"]["version"]
        digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{name}=={version} \\\n    --hash=sha256:{digest}\n")
    return HEADER + "".join(sorted(lines))


def resolve(wanted: Path) -> dict[str, Any]:
    """What pip would install into an empty environment, by its own resolver."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        subprocess.run(  # noqa: S603
            [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
             "--report", str(report), "--requirement", str(wanted), "--constraint", str(LOCK)],
            check=True,
        )  # fmt: skip
        resolution: dict[str, Any] = json.loads(report.read_text("utf-8"))
        return resolution


def main() -> int:
    """Resolve and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.parse_args()
    TORCH.write_text(torch_requirements(LOCK.read_text("utf-8")), "utf-8")
    for name in FOLDERS:
        target = ROOT / name / "requirements.txt"
        target.write_text(requirements(resolve(ROOT / name / "requirements.in")), "utf-8")
        print(f"{target}: {target.read_text('utf-8').count('--hash')} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
