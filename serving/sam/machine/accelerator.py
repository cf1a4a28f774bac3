"""What a machine computes on: the device, its driver and its libraries, for logs and reports."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_DRIVER = Path("/proc/driver/nvidia/version")  # of the kernel module; containers see the host's


def describe_device(device: torch.device) -> dict[str, str]:
    """Say what a device is.

    Args:
        device: as :func:`serving.sam.machine.devices.choose_device` returns it.

    Returns:
        ``device`` and ``name``; for a GPU also ``driver``, ``cuda`` (which PyTorch was built for)
        and ``capability``, each empty where it is not known.
    """
    import torch

    if device.type != "cuda":
        return {"device": str(device), "name": platform.processor() or platform.machine()}
    return {
        "device": str(device),
        "name": torch.cuda.get_device_name(device),
        "driver": _driver(_DRIVER),
        "cuda": str(torch.version.cuda or ""),
        "capability": ".".join(map(str, torch.cuda.get_device_capability(device))),
    }


def _driver(path: Path) -> str:
    """The version in the first line: ``NVRM version: ... Kernel Module  550.54.15  Tue ...``."""
    try:
        version = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", path.read_text("utf-8"))
    except OSError:
        return ""
    return version[1] if version else ""
