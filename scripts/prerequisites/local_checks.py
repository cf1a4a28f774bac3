"""What a run on this machine needs: Python, PyTorch and its device, checkpoints, free disk."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.prerequisites.findings import Finding
from serving.sam.known_checkpoints import CHECKPOINTS

LEAST_FREE_BYTES = 1_000_000_000  # room for some hundred photographs' pictures of 1.2 MB each


def local_findings(folder: Path) -> Iterator[Finding]:
    """Check this machine.

    Args:
        folder: where a run would write.
    """
    yield check_python()
    yield check_torch()
    yield check_checkpoints()
    yield check_disk(folder)


def check_python() -> Finding:
    """The interpreter that runs this."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] != (3, 11):
        return Finding(
            "python", "wrong", f"{version}; expected 3.11", "PYTHON=python3.11 make setup"
        )
    return Finding("python", "ok", version)


def check_torch() -> Finding:
    """PyTorch, and what it computes on; a GPU that it does not see is worth a word."""
    from serving.sam.machine.accelerator import describe_device, nvidia_driver
    from serving.sam.machine.devices import choose_device

    try:
        import torch

        device = choose_device()
    except (ImportError, OSError) as error:  # OSError: a shared library of its own does not load
        return Finding("torch", "missing", f"PyTorch does not load ({error})", "make setup")
    about = ", ".join(value for value in describe_device(device).values() if value)
    driver = nvidia_driver()
    if device.type == "cuda" or not driver:
        return Finding("torch", "ok", f"{torch.__version__} on {about}")
    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs only"
    return Finding(
        "torch",
        "waiting",
        f"{torch.__version__}, built for {built}, sees no GPU beside the NVIDIA driver {driver}",
        "install the CUDA build of this version: https://pytorch.org/get-started/locally/",
    )


def check_checkpoints() -> Finding:
    """The known checkpoints in this package and in this user's cache."""
    here = [entry for entry in CHECKPOINTS.values() if entry.path_here.is_file()]
    names = ", ".join(entry.name for entry in here)
    if all(entry.is_demo for entry in here):
        return Finding(
            "checkpoints",
            "waiting",
            f"{names}: a demo network, which finds nothing in many photographs",
            "sam-vertex checkpoint fetch vit_b",
        )
    return Finding("checkpoints", "ok", names)


def check_disk(folder: Path) -> Finding:
    """Free disk where a run would write."""
    free = shutil.disk_usage(folder).free
    text = f"{free / 1e9:.1f} GB free at {folder.absolute()}"
    if free < LEAST_FREE_BYTES:
        return Finding(
            "disk",
            "wrong",
            f"{text}; expected {LEAST_FREE_BYTES / 1e9:.1f} GB or more",
            "make room, or run with --output on another disk",
        )
    return Finding("disk", "ok", text)
